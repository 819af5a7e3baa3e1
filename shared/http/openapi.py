"""What all OpenAPI documents have in common: tags, problems, examples of bodies, and the Idempotency-Key header."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.http.examples import ID, example_of

OPERATIONAL = frozenset({"audit", "faults", "health", "metrics"})  # first words of paths that are not for shoppers
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ALWAYS = {
    "421": "The Host is no name of this service",
    "503": "Not available now; ask again, under the same Idempotency-Key",
    "500": "Unexpected error",
}
_WRITING = {
    "403": "A browser sent it for a page of another site",
    "504": "It may have been done; ask again, under the same Idempotency-Key",
}
_WITH_BODY = {
    "400": "Malformed JSON",
    "413": "Body too large",
    "415": "Not application/json",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body get the same answer, once and for all (quoted string; bare accepted).",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 202,
        "pattern": r'^("[!#-\[\]-~]{1,200}"|[!#-\[\]-~]{1,200})$',
    },
}
# The value is validated only with `FAULTS=true`; without it any text is ignored.
_FAULT = {
    "name": "X-Fault",
    "in": "header",
    "required": False,
    "description": (
        "Failures that this checkout's saga is to suffer on purpose: `STEP=NAME[:ARGUMENT][*TIMES]`, several with "
        "commas between. Ignored unless the service runs with `FAULTS=true`; then for operators."
    ),
    "schema": {"type": "string"},
    "example": "process_payment=lose_answer*2,create_order=slow:500",
}


class Problem(BaseModel):
    """RFC 9457; further members depend on the type."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


def problem(description: str) -> dict[str, Any]:
    """Describe an error answer of one operation."""
    return {"description": description, "content": _PROBLEM}


def idempotent() -> dict[str, Any]:
    """Mark an operation that takes an Idempotency-Key (see `complete`)."""
    return {"x-idempotent": True}


def begins_saga() -> dict[str, Any]:
    """Mark an operation that begins a saga: idempotent, and takes `X-Fault` (see `complete`)."""
    return {**idempotent(), "x-begins-saga": True}


def batch_of(paths: Sequence[str]) -> dict[str, Any]:
    """Mark an operation whose body is a list of commands, each a path of these and the body for it (see `complete`)."""
    return {"x-batch-of": list(paths)}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add a tag to each operation, an example to its body, and the answers and headers that all of its kind share."""
    tags = {path: _tag(path) for path in document["paths"]}
    document["tags"] = [{"name": name} for name in dict.fromkeys(tags.values())]
    for name, path in document["paths"].items():
        for method, operation in path.items():
            operation["tags"] = [tags[name]]
            shared = {
                **_ALWAYS,
                **(_WITH_BODY if method in {"post", "put"} else {}),
                **({} if method == "get" else _WRITING),
            }
            for status, description in shared.items():
                operation["responses"].setdefault(status, problem(description))
            operation["responses"]["422"] = problem("Fields that do not fit, each named")
            if "requestBody" in operation:
                operation["requestBody"]["required"] = bool(_schema_of(document, operation).get("required"))
                operation["requestBody"]["content"]["application/json"]["example"] = _example(document, operation)
            if operation.get("x-idempotent"):
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
                operation["responses"].setdefault("409", problem("The first request with this key still runs"))
            if operation.get("x-begins-saga"):
                operation.setdefault("parameters", []).append(_FAULT)
    return document


def _tag(path: str) -> str:
    """The word that its path begins with, without prefixes such as `/api/v1`."""
    words = [word for word in path.split("/") if word and not re.fullmatch(r"api|v\d+", word)]
    return "operations" if not words or words[0] in OPERATIONAL else words[0]


def _example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    """An example of an operation's request body; of a batch, one command for each of its paths."""
    if "x-batch-of" not in operation:
        return example_of(_schema_of(document, operation), document)
    commands = [
        {"path": re.sub(r"\{\w+\}", ID, path), "body": _example(document, document["paths"][path]["post"])}
        for path in operation["x-batch-of"]
    ]
    return {"commands": commands}


def _schema_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an operation's request body."""
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema
