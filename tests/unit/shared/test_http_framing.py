"""The end of a request is found wherever the network splits the request."""

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.framing import MAX_CHUNKS, MAX_HEAD, MORE, NotARequest, request_length

MAX_BODY = 1000
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


def received(pieces: Sequence[bytes]) -> tuple[int, int]:
    """Return the length of the request, and after how many pieces it was known; raises `NotARequest`."""
    buffer = bytearray()
    framing = request_length(buffer, MAX_BODY)
    for number, piece in enumerate(pieces, 1):
        buffer += piece
        try:
            while next(framing).continue_expected:
                pass
        except StopIteration as found:
            length: int = found.value
            return length, number
    raise AssertionError("it never ends")


def in_chunks(body: Sequence[bytes], extension: bytes, trailers: bytes) -> bytes:
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(each), extension, each) for each in body)
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


bodies = st.binary(max_size=300)
plain = bodies.map(lambda body: POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
chunked = st.builds(
    in_chunks,
    st.lists(st.binary(min_size=1, max_size=30), max_size=8),
    st.sampled_from([b"", b";x", b" ; x=y"]),
    st.sampled_from([b"", b"X-A: 1\r\n", b"X-A: 1\r\nX-B: 2\r\n"]),
)
whole_requests = st.one_of(st.just(b"GET / HTTP/1.1\r\n\r\n"), plain, chunked)


@given(whole_requests, bodies, st.data())
def test_it_ends_at_the_same_byte_however_it_is_cut(request: bytes, after: bytes, data: st.DataObject) -> None:
    """Whatever follows it; the length is known as soon as the last byte has arrived."""
    stream = request + after
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    length, count = received(pieces)
    assert length == len(request)
    assert sum(map(len, pieces[: count - 1])) < length


@given(whole_requests)
def test_byte_by_byte_it_ends_with_its_last(request: bytes) -> None:
    assert received([bytes([byte]) for byte in request]) == (len(request), len(request))


@given(st.binary(max_size=200))
def test_whatever_comes_is_waited_for_found_or_refused(noise: bytes) -> None:
    framing = request_length(bytearray(POST + b"Transfer-Encoding: chunked\r\n\r\n" + noise), MAX_BODY)
    with suppress(NotARequest, StopIteration):
        assert next(framing) == MORE


@pytest.mark.parametrize("cut", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (b"GET /" + b"x" * 2 * MAX_HEAD, 414),
        (b"GET / HTTP/1.1\r\n" + b"x" * 2 * MAX_HEAD, 431),
        (b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD + b"\r\n\r\n", 431),
        (POST + b"Content-Length: 1001\r\n\r\n", 413),
        (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 1_0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000, 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * MAX_HEAD, 431),
    ],
)
def test_what_can_be_no_request_is_refused(stream: bytes, status: int, cut: int) -> None:
    pieces = [stream[start : start + cut] for start in range(0, min(len(stream), 5 * MAX_HEAD), cut)]
    with pytest.raises(NotARequest) as refused:
        received(pieces)
    assert refused.value.status == status


def test_a_body_of_very_many_chunks_is_refused() -> None:
    stream = bytearray(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MAX_CHUNKS + 1))
    with pytest.raises(NotARequest, match="chunks"):
        next(request_length(stream, 10 * MAX_CHUNKS))


def test_a_client_that_waits_to_be_told_is_told_to_go_on() -> None:
    asking = POST + b"Content-Length: 2\r\nEXPECT: 100-Continue\r\n\r\n"
    framing = request_length(bytearray(asking), MAX_BODY)
    assert [next(framing).continue_expected, next(framing).continue_expected] == [True, False]
    old = request_length(bytearray(asking.replace(b"HTTP/1.1", b"HTTP/1.0")), MAX_BODY)
    assert not next(old).continue_expected
