"""`docs/reference/endpoints.md`: what each service answers, from its OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from stack.processes import PROCESSES
from tests.contract.documents import document_of
from tests.reference.markdown import page_of, table
from tests.system.servers import SERVICES

INTRODUCTION = """\
JSON in and out. Each service also has browsable OpenAPI 3.1 pages at `/openapi/`, with every field and answer; the
document itself is `/openapi/openapi.json`.

* **Errors** are `application/problem+json` (RFC 9457) with `type`, `title`, `status` and `detail`. Everywhere: 400
  malformed JSON, 413 body too large, 415 not JSON, 421 a `Host` that is no name of the service, 422 fields that do
  not fit (each named in `errors`; unknown fields are refused), 403 sent by a page of another site, 500, and 503 or
  504 with `Retry-After`.
* **`Idempotency-Key`** is accepted where the column *key* says so: the same key and body get the same answer for a
  week.
* **Who may ask**: *services* need `Authorization: Bearer` with `SERVICE_TOKEN`, *operators* with `ADMIN_TOKEN`, once
  these are set. Everybody may ask the rest ([SECURITY.md](../../SECURITY.md)).
* **Ids** are UUIDv7, except those of products, which are integers. **Money** is an exact decimal number with two
  places.
* **Payment methods**: `credit_card`, `debit_card`, `paypal` and `wallet` (if it holds enough) succeed;
  `invalid_card`, `declined_card` and `insufficient_funds` are always declined.
* **`Prefer: wait=N`** on a checkout waits up to N seconds for the saga to end. `POST /saga-commands` takes the
  commands of many sagas in one request.
"""
COMMON = {"400", "401", "403", "413", "415", "421", "422", "500", "503", "504"}
SAME_KEY = "The first request with this key still runs"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = ("endpoint", "what it does", "body", "answers", "key", "who may ask")
Json = dict[str, Any]
Row = tuple[str, ...]


def page() -> str:
    """Return the page; what every service has is listed once."""
    rows = {service: _rows(document_of(service)) for service in PROCESSES if service in SERVICES}
    shared = [row for row in next(iter(rows.values())) if all(row in each for each in rows.values())]
    own = [
        part
        for service, each in rows.items()
        for part in (_title(service), table(HEAD, (row for row in each if row not in shared)))
    ]
    return page_of("Endpoints", INTRODUCTION, *own, "## Every service", table(HEAD, shared))


def _title(service: str) -> str:
    process = PROCESSES[service]
    return f"## {service}\n\nPort {process.ports[process.port_setting]}: {process.purpose}."


def _rows(document: Json) -> list[Row]:
    return [_row(document, *each) for each in _operations(document)]


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, operations in document["paths"].items():
        yield from ((method, path, operations[method]) for method in METHODS if method in operations)


def _row(document: Json, method: str, path: str, operation: Json) -> Row:
    parameters = operation.get("parameters", [])
    query = "&".join(f"{each['name']}=" for each in parameters if each["in"] == "query")
    takes_key = any(each["name"] == "Idempotency-Key" for each in parameters)
    endpoint = f"`{method.upper()} {path}{'?' if query else ''}{query}`"
    who = " or ".join(each.removesuffix("_token").replace("admin", "operator") + "s" for each in _tokens(operation))
    return (
        endpoint,
        operation["summary"],
        _body(document, operation),
        _answers(operation),
        "yes" if takes_key else "",
        who,
    )


def _tokens(operation: Json) -> list[str]:
    return [name for scheme in operation.get("security", []) for name in scheme]


def _body(document: Json, operation: Json) -> str:
    """Return the fields of its body; `?` marks optional ones."""
    if "requestBody" not in operation:
        return ""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    needed = schema.get("required", [])
    return "`{" + ", ".join(field if field in needed else f"{field}?" for field in schema["properties"]) + "}`"


def _answers(operation: Json) -> str:
    """Return its own statuses, each refusal with its reason."""
    own = {
        status: answer["description"]
        for status, answer in sorted(operation["responses"].items())
        if status not in COMMON and answer["description"] != SAME_KEY
    }
    return "; ".join(status if int(status) < 400 else f"{status} {_lower(why)}" for status, why in own.items())


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
