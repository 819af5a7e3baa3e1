"""Every service does what its OpenAPI document says, whatever it is sent: thousands of requests that fit or don't.

They are made from the documents, the same ones in every run, and sent to real services. Where a request fits, ids that
exist take the place of made-up ones, so that it finds what it names.
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

EXAMPLES = 30  # for each operation, after those that try each rule of its document
CONFIG = {
    # Text may not hold NUL, which JSON Schema cannot say of the names of fields.
    "generation": {"allow-x00": False},
    "checks": {
        # What fits may still be declined (402), not be there (404) or no longer be possible (409).
        "positive_data_acceptance": {"expected-statuses": ["2xx", "402", "404", "409", "501"]},
        # carrito answers 501 to a style of saga that it cannot hand over to.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "501"]},
    },
}

Case = schemathesis.Case[Any]
# These need a saga that is under way, or a cart together with its saga; see the tests of operators and of carts.
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
    """Every service, in processes of their own, on a database and a broker of their own."""
    url, rabbitmq_url = databases.create(), broker.create()
    folder = tmp_path_factory.mktemp("shop")
    with RunningSystem(_spawner, url, folder, rabbitmq_url=rabbitmq_url, env=QUICK) as system:
        yield Shop(system)
    databases.drop(url)
    broker.drop(rabbitmq_url)


class Subjects:
    """Carts and sagas in every state: the sets of ids that requests name, and a product that is in all of them.

    Ids that belong together go together, so that what is done does not depend on which of them a request has.
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
        """The ids of one after the other, now and then of a saga that is not there and of none, without end."""
        while True:
            yield self._done
            yield self._held
            yield {"saga_id": str(uuid4()), "cart_id": self._opened}
            yield self._choreographed
            yield {}
            yield self._undone


class Caller:
    """Sends one operation's requests; those that fit name what there is."""

    def __init__(self, shop: Shop, session: requests.Session, subjects: Subjects) -> None:
        self._shop = shop
        self._session = session
        self.statuses: Counter[int] = Counter()  # of the answers to what fits
        self._subjects = subjects.by_turns()
        self._known: dict[str, Iterator[str | None]] = {
            "product_id": cycle([subjects.product, subjects.product, None]),
            "user_id": cycle([USER, USER, None]),
            "X-Fault": cycle(["process_payment=slow:1"]),  # any text is ignored here, but not every one can be sent
            "Idempotency-Key": (f"key-{number}" if number % 4 else None for number in count()),
        }

    def send(self, case: Case) -> schemathesis.Response:
        """The answer to a request."""
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
        """Put ids that exist, or now and then leave those that don't, in this part of a request."""
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
    """Whether the whole request was made to fit."""
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def fitting_parts(case: Case) -> list[ParameterLocation]:
    """The parts of a request that were made to fit, while another may not."""
    components = case.meta.components if case.meta is not None else {}
    return [location for location, each in components.items() if each.mode is GenerationMode.POSITIVE]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def read_subjects(shop: Shop) -> Subjects:
    """The parameters of all operations that only read."""
    return Subjects(shop)


@pytest.fixture
def caller(
    request: pytest.FixtureRequest, shop: Shop, session: requests.Session, read_subjects: Subjects
) -> Iterator[Caller]:
    """One for each operation; in the end some of what fits must have been done. Who writes has subjects of its own."""
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
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one caller for all of an operation's requests
)
def test_a_service_does_what_its_document_says(case: Case, caller: Caller) -> None:
    response = caller.send(case)
    beyond: list[Any] = [positive_data_acceptance] if is_beyond_the_document(case, response) else []
    case.validate_response(response, excluded_checks=beyond)


def is_beyond_the_document(case: Case, response: schemathesis.Response) -> bool:
    """Whether it was refused for what a document of shapes does not know: a rule between fields, or requests."""
    if response.status_code != 422:
        return False
    problem = response.json()
    wallet = isinstance(case.body, dict) and case.body.get("payment_method") == "wallet"
    of_nobody = [error["field"] for error in problem.get("errors", [])] == ["user_id"]
    return problem["type"] == "/problems/key-reused" or (wallet and of_nobody)
