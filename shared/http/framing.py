"""Finds the end of an HTTP/1.1 request in a growing buffer (RFC 9112, message framing), without interpreting it."""

import re
from collections.abc import Generator
from typing import NamedTuple

MAX_HEAD = 65_536  # bytes; a browser with all its cookies sends a tenth of this
MAX_REQUEST_LINE = 8190  # bytes; gunicorn's own limit
MAX_CHUNK_LINE = 1024  # bytes; a size and extensions
MAX_CHUNKS = 10_000  # in one request; reading so many takes as long as ten requests

_FIELDS = re.compile(rb"^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)
_EXPECTING = re.compile(rb"[^\r\n]* HTTP/1\.1\r\n", re.I)


class NotARequest(Exception):
    """The bytes are not a request that can be served; the connection must be closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Waiting(NamedTuple):
    """More bytes are needed; `continue_expected` when the client waits for `100 Continue` before it sends them."""

    continue_expected: bool = False


MORE, GO_ON = Waiting(), Waiting(continue_expected=True)
Framing = Generator[Waiting, None, int]


def request_length(buffer: bytearray, max_body: int) -> Framing:
    """Return the length of the request at the beginning of a growing buffer. Raises `NotARequest`.

    A generator: it yields while it needs more bytes, is resumed when more have arrived, and reads no byte twice.
    """
    body = yield from _head(buffer)
    fields: dict[bytes, list[bytes]] = {}
    for name, value in _FIELDS.findall(bytes(buffer[:body])):
        fields.setdefault(name.lower(), []).append(value.lower())
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    length = _declared_length(lengths, codings, max_body)
    if b"100-continue" in fields.get(b"expect", []) and _EXPECTING.match(buffer):
        yield GO_ON
    if codings:
        return (yield from _chunks(buffer, body, max_body))
    while len(buffer) < body + length:
        yield MORE
    return body + length


def _head(buffer: bytearray) -> Framing:
    """Return the offset of the body."""
    too_large = NotARequest(431, f"the head is longer than {MAX_HEAD} bytes")
    searched = 0
    while (end := buffer.find(b"\r\n\r\n", searched)) < 0 and len(buffer) <= MAX_HEAD:
        searched = max(0, len(buffer) - 3)
        yield MORE
    if buffer.find(b"\n", 0, MAX_REQUEST_LINE + 2) < 0:
        raise NotARequest(414, f"the first line is longer than {MAX_REQUEST_LINE} bytes")
    if not 0 <= end <= MAX_HEAD:
        raise too_large
    return end + 4


def _declared_length(lengths: list[bytes], codings: list[bytes], max_body: int) -> int:
    if codings and codings != [b"chunked"]:
        raise NotARequest(501, "the only transfer coding is chunked")
    if len(lengths) + len(codings) > 1:
        raise NotARequest(400, "the length of the body is given more than once")
    if not lengths:
        return 0
    if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise NotARequest(400, "Content-Length is not a number")
    if int(lengths[0]) > max_body:
        raise NotARequest(413, f"the body is larger than {max_body} bytes")
    return int(lengths[0])


def _chunks(buffer: bytearray, start: int, max_body: int) -> Framing:
    """Return the end of a chunked body and its trailers."""
    at = start
    for _ in range(MAX_CHUNKS):
        end_of_line = yield from _line(buffer, at, MAX_CHUNK_LINE)
        size = _chunk_size(bytes(buffer[at:end_of_line]))
        if size == 0:
            return (yield from _trailers(buffer, end_of_line))
        at = end_of_line + 2 + size + 2
        if at - start > max_body:
            raise NotARequest(413, f"the body is larger than {max_body} bytes")
        while len(buffer) < at:
            yield MORE
        if buffer[at - 2 : at] != b"\r\n":
            raise NotARequest(400, "a chunk is not as long as it says")
    raise NotARequest(413, f"the body has more than {MAX_CHUNKS} chunks")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
        raise NotARequest(400, "the size of a chunk is not a number")
    return int(digits, 16)


def _trailers(buffer: bytearray, end_of_last_chunk: int) -> Framing:
    """Return the end of the trailers: an empty line, which may follow the last chunk directly."""
    at = end_of_last_chunk + 2
    while (end := (yield from _line(buffer, at, MAX_HEAD))) != at:
        at = end + 2
        if at - end_of_last_chunk > MAX_HEAD:
            raise NotARequest(431, f"the trailers are longer than {MAX_HEAD} bytes")
    return end + 2


def _line(buffer: bytearray, start: int, limit: int) -> Framing:
    """Return the end of the line that starts here."""
    searched = start
    while (end := buffer.find(b"\r\n", searched, start + limit + 2)) < 0:
        if len(buffer) - start > limit:
            raise NotARequest(400, f"a line of the body's framing is longer than {limit} bytes")
        searched = max(start, len(buffer) - 1)
        yield MORE
    return end
