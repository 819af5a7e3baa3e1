"""A page of another site changes nothing through its visitor's browser, and gets no answer under a name of its own."""

import http.client
import re
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.ids import new_id
from tests.integration.api_client import problem_of
from tests.system.running import RunningSystem
from tests.system.servers import SERVICES

Clients = Callable[..., FlaskClient]
HERE = "localhost:3000"

FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://evil.example:3000"},
    {"Origin": "http://localhost:3001"},  # another program of this machine, or another service
    {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1:3000"},  # not the name that was used in the request
    {"Origin": "http://localhost:3000.evil.example"},
    {"Origin": "http://localhost:3000@evil.example"},
    {"Origin": "http://["},
    {"Origin": "http://[127.0.0.1]"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:3000, http://evil.example"},
    {"Origin": "file://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "anything"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]
OWN = [
    {},
    {"Origin": "http://localhost:3000"},
    {"Origin": "https://localhost:3000"},  # behind a gateway with TLS
    {"Origin": "http://LOCALHOST:3000", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]
each_service = pytest.mark.parametrize("service", SERVICES)


def changes(client: FlaskClient) -> Iterator[tuple[str, str]]:
    """Yield every operation that may change something."""
    for rule in client.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            yield method, re.sub(r"<([^<>]*:)?\w+>", str(new_id()), rule.rule)


def send(client: FlaskClient, method: str, path: str, **headers: str) -> TestResponse:
    """Send a request as a page can: without a body, and without a preflight request."""
    return client.open(path, method=method, headers={"Host": HERE, **headers}, content_type="text/plain")


@each_service
def test_no_change_is_made_for_a_page_of_another_site(service_client: Clients, service: str) -> None:
    client = service_client(service)
    for method, path in changes(client):
        for headers in FOREIGN:
            assert problem_of(send(client, method, path, **headers))["status"] == 403, (method, path, headers)


@each_service
def test_a_service_s_own_pages_and_other_programs_are_served(service_client: Clients, service: str) -> None:
    client = service_client(service)
    for method, path in changes(client):
        for headers in OWN:
            assert send(client, method, path, **headers).status_code not in {403, 421}, (method, path, headers)


def test_nothing_has_happened_when_it_is_refused(service_client: Clients) -> None:
    client = service_client("pagos")
    wallet = f"/api/v1/wallets/{new_id()}"
    body = {"amount": "5.00"}
    assert client.post(f"{wallet}/deposits", json=body, headers=FOREIGN[0]).status_code == 403
    assert client.get(wallet).status_code == 404
    assert client.post(f"{wallet}/deposits", json=body).status_code == 201


def test_reading_is_for_everybody_who_gets_here(service_client: Clients) -> None:
    """The page can't see the answer, since no CORS header allows it."""
    response = service_client("inventario").get("/api/products", headers=FOREIGN[0])
    assert response.status_code == 200
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]


def status_under(client: FlaskClient, host: str, path: str = "/metrics-of-nobody") -> int:
    return client.get(path, headers={"Host": host}).status_code


KNOWN = [
    *("localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:3000", "127.9.9.9", "[::1]", "[::1]:3000"),
    *("carrito", "carrito:8000", "shop.internal", "Shop.Internal:81", "elsewhere.internal"),
    *("10.0.0.7:3000", "shop.example", "api.shop.example:443", "[fd00::7]:80"),
]
UNKNOWN = [
    *(
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "evil.example@localhost",
        "localhost@evil.example",
    ),
    *(
        "10.0.0.8",
        "0.0.0.0",
        "[::]",
        "127.0.0.1.evil.example",
        "xshop.example",
        "a b",
        "localhost:x",
        "localhost:3000:1",
    ),
    *("", ":80", "[::1", "localhost,evil.example", "localhost/", "2130706433x"),
]


def test_a_service_is_reached_under_its_own_names_only(
    service_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGOS_SERVICE_URL", "https://elsewhere.internal/pagos")  # carrito never calls it
    client = service_client(
        "carrito",
        orchestrator_url="http://shop.internal:3003",
        published_on="10.0.0.7",
        allowed_hosts="shop.example, API.shop.example,fd00::7",
    )
    assert {host: status_under(client, host) for host in KNOWN} == dict.fromkeys(KNOWN, 404)
    for host in UNKNOWN:
        assert problem_of(client.get("/nothing", headers={"Host": host}))["status"] == 421, host


@each_service
def test_a_replica_can_be_probed_by_its_address(service_client: Clients, service: str) -> None:
    client = service_client(service)
    for address in ("10.1.2.3:8000", "[fd00::1]:8000", "192.0.2.1"):
        assert status_under(client, address, "/health") in {200, 503}
        assert status_under(client, address, "/metrics") == 200
        assert status_under(client, address, "/audit") == 421
    assert status_under(client, "evil.example", "/health") == 421


@each_service
def test_a_service_goes_by_its_own_name(service_client: Clients, service: str) -> None:
    client = service_client(service)
    for name in (service, service.replace("_", "-")):
        assert status_under(client, f"{name}:8000", "/metrics") == 200


def test_pages_of_names_that_were_added_may_send_changes(service_client: Clients) -> None:
    client = service_client("carrito", allowed_hosts="shop.example")
    page = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/carts", json={"user_id": "ana"}, headers=page).status_code == 201
    page["Origin"] = "https://evil.shop.example"
    assert client.post("/carts", json={"user_id": "ana"}, headers=page).status_code == 403


@pytest.mark.parametrize("listed", ["shop.example:80", "http://shop.example", "a b", "*"])
def test_a_list_of_names_that_is_none_is_refused_at_start(service_client: Clients, listed: str) -> None:
    with pytest.raises(ValueError, match="names of hosts"):
        service_client("carrito", allowed_hosts=listed)


def test_it_is_so_behind_gunicorn(start_system: Callable[..., RunningSystem]) -> None:
    system = start_system(processes=["inventario"])
    port = int(system.url("inventario").rsplit(":", 1)[1])

    def status(method: str, *, host: str | None = HERE, version: int = 11, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection._http_vsn = version  # type: ignore[attr-defined]
        connection._http_vsn_str = f"HTTP/{version / 10}"  # type: ignore[attr-defined]
        connection.putrequest(method, "/api/products", skip_host=True)
        for name, value in {**({} if host is None else {"Host": host}), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert status("GET") == 200
    assert status("GET", host="evil.example") == 421
    assert status("GET", host=None) == 400
    assert status("GET", host=None, version=10) == 200
    assert status("POST", Origin="https://evil.example") == 403
    assert status("POST") == 422
