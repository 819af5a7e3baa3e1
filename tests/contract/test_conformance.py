"""Every service answers as its OpenAPI document says: thousands of requests that fit it or don't.

Schemathesis generates the requests from the documents, the same ones in every run, and sends them to real services. In
requests that fit, existing ids replace generated ones, so that the request finds its objects.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import count, cycle
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from shared.event_bus import CHOREOGRAPHY
from tests.contract.documents import document_of
from tests.e2e.shop import INVENTARIO, QUICK, USER, Shop
from tests.system.brokers import Broker
from tests.system.running import RunningSystem, Spawner
from tests.system.servers import SERVICES, Databases

EXAMPLES = 30  # for each operation, after those that test each rule of its document
CONFIG = {
    # Text may not contain NUL, which JSON Schema cannot say of the names of fields.
    "generation": {"allow-x00": False},
    "checks": {
        # A request that fits may be declined (402), name a missing object (404), or conflict with the state (409).
        "positive_data_acceptance": {"expected-statuses": ["2xx", "402", "404", "409", "501"]},
        # carrito answers 501 to a style for which it has no service.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "501"]},
    },
}

Case = schemathesis.Case[Any]
# These need a saga that has not ended, or a cart with its saga; tests of operators and of carts cover them.
DONE_ELSEWHERE = (
    "POST /saga/{saga_id}/retry",
    "POST /saga/choreography/{saga_id}/retry",
    "POST /carts/{cart_id}/release",
)


SCHEMAS = {
    service: schemathesis.openapi.from_dict(document_of(service), config=schemathesis.Config.from_dict(CONFIG))
    for service in SERVICES
}


@pytest.fixture(scope="module")
def shop(
    databases: Databases, broker: Broker, _spawner: Spawner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Every service in real processes, on a database and a broker of their own."""
    url, rabbitmq_url = databases.create(), broker.create()
    folder = tmp_path_factory.mktemp("shop")
    with RunningSystem(_spawner, url, folder, rabbitmq_url=rabbitmq_url, env=QUICK) as system:
        yield Shop(system)
    databases.drop(url)
    broker.drop(rabbitmq_url)


class Subjects:
    """Ids of carts and sagas in every state, grouped as requests name them, and a product that is in all of them.

    Ids that belong together are used together, so that the effect does not depend on which of them a request has.
    """

    def __init__(self, shop: Shop) -> None:
        self.product = str(shop.product(quantity=1_000_000))
        line = {"product_id": self.product, "quantity": 1}
        done = shop.ended(shop.buy(int(self.product)))
        choreographed = shop.post(
            CHOREOGRAPHY,
            "/saga/choreography/checkout",
            shop.checkout_body(shop.cart((int(self.product), 1))),
            Prefer="wait=20",
        )
        held, self._opened = shop.cart((int(self.product), 1)), shop.cart((int(self.product), 1))
        undone = shop.ended(shop.buy(int(self.product), method="declined_card"))
        shop.post(INVENTARIO, "/api/products/reserve", {"cart_id": held, "items": [line]})
        shop.deposit("1000000.00")
        self._done = {name: done[name] for name in ("saga_id", "cart_id", "order_id", "payment_id")}
        self._held = {"saga_id": held, "cart_id": held}
        self._choreographed = {"saga_id": choreographed.body["saga_id"]}
        self._undone = {name: undone[name] for name in ("saga_id", "cart_id")}

    def by_turns(self) -> Iterator[Mapping[str, str]]:
        """Yield the ids of each in turn; now and then those of a missing saga, and none; without end."""
        while True:
            yield self._done
            yield self._held
            yield {"saga_id": str(uuid4()), "cart_id": self._opened}
            yield self._choreographed
            yield {}
            yield self._undone


class Caller:
    """Sends the requests of one operation; those that fit name existing objects."""

    def __init__(self, shop: Shop, session: requests.Session, subjects: Subjects) -> None:
        self._shop = shop
        self._session = session
        self.statuses: Counter[int] = Counter()  # of the answers to requests that fit
        self._subjects = subjects.by_turns()
        self._known: dict[str, Iterator[str | None]] = {
            "product_id": cycle([subjects.product, subjects.product, None]),
            "user_id": cycle([USER, USER, None]),
            "X-Fault": cycle(["process_payment=slow:1"]),  # any text is ignored, but HTTP does not allow every text
            "Idempotency-Key": (f"key-{number}" if number % 4 else None for number in count()),
        }

    def send(self, case: Case) -> schemathesis.Response:
        """Send a request, and return the answer."""
        parts: dict[ParameterLocation, Any] = {
            ParameterLocation.HEADER: case.headers,
            ParameterLocation.PATH: case.path_parameters,
            ParameterLocation.QUERY: case.query,
            ParameterLocation.BODY: case.body,
        }
        subject = next(self._subjects)
        for location in fitting_parts(case):
            self._acquaint(parts.get(location), subject)
        response = case.call(base_url=self._shop.system.url(case.operation.schema.title), session=self._session)
        if fits(case):
            self.statuses[response.status_code] += 1
        return response

    def _acquaint(self, part: Any, subject: Mapping[str, str]) -> None:
        """Put existing ids into this part of a request; now and then keep the generated ones."""
        if isinstance(part, MutableMapping):
            for name in sorted(part.keys() & self._known.keys()):
                part[name] = next(self._known[name]) or part[name]
            for name in part.keys() & subject.keys():
                part[name] = subject[name]
            self._acquaint(part.get("items"), subject)
        if isinstance(part, list):
            for line in part:
                self._acquaint(line, subject)


def fits(case: Case) -> bool:
    """Whether the whole request was generated to fit."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def fitting_parts(case: Case) -> list[ParameterLocation]:
    """Return the parts of a request that were generated to fit, while another part may not fit."""
    components = case.meta.components if case.meta is not None else {}
    return [location for location, each in components.items() if each.mode is GenerationMode.POSITIVE]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def read_subjects(shop: Shop) -> Subjects:
    """The ids for all operations that only read."""
    return Subjects(shop)


@pytest.fixture
def caller(
    request: pytest.FixtureRequest, shop: Shop, session: requests.Session, read_subjects: Subjects
) -> Iterator[Caller]:
    """Yield a caller for each operation; some requests that fit must have succeeded at the end.

    Operations that write have ids of their own.
    """
    caller = Caller(shop, session, read_subjects if "[GET /" in request.node.name else Subjects(shop))
    yield caller
    elsewhere = any(name in request.node.name for name in DONE_ELSEWHERE)
    assert elsewhere or min(caller.statuses) < 300, caller.statuses


@schemathesis.pytest.parametrize(**SCHEMAS)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # all requests of an operation share a caller
)
def test_a_service_does_what_its_document_says(case: Case, caller: Caller) -> None:
    response = caller.send(case)
    beyond: list[Any] = [positive_data_acceptance] if is_beyond_the_document(case, response) else []
    case.validate_response(response, excluded_checks=beyond)


def is_beyond_the_document(case: Case, response: schemathesis.Response) -> bool:
    """Whether a request was refused by a rule between fields or requests, which the document cannot express."""
    if response.status_code != 422:
        return False
    problem = response.json()
    wallet = isinstance(case.body, dict) and case.body.get("payment_method") == "wallet"
    of_nobody = [error["field"] for error in problem.get("errors", [])] == ["user_id"]
    return problem["type"] == "/problems/key-reused" or (wallet and of_nobody)
