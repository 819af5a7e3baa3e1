"""The OpenAPI documents are valid, and their pages load nothing from other sites."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask.testing import FlaskClient

from shared import VERSION
from tests.contract.documents import app_of, document_of
from tests.system.servers import SERVICES

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PAGES = ("/openapi/", "/openapi/swagger")

each_service = pytest.mark.parametrize("service", SERVICES)


class Links(HTMLParser):
    """Collects all URLs in a page's tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value.strip() for name, value in attrs if name in {"src", "href", "data", "action"} and value]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in methods.items())


def client_of(service: str) -> FlaskClient:
    client: FlaskClient = app_of(service).test_client()
    return client


@each_service
def test_the_document_is_valid_openapi_3_1(service: str) -> None:
    document = document_of(service)
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


@each_service
def test_the_document_has_every_route(service: str) -> None:
    rules = [rule for rule in app_of(service).url_map.iter_rules() if not rule.rule.startswith(("/openapi", "/static"))]
    routes = {
        f"{method} {re.sub('<([^<>]*:)?', '{', rule.rule).replace('>', '}')}"
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {name for name, _ in operations(document_of(service))}


@each_service
def test_every_operation_says_what_it_is_for_and_that_its_errors_are_problems(service: str) -> None:
    for name, operation in operations(document_of(service)):
        assert operation["summary"], name
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"] == PROBLEM, f"{name} {status}"
            assert response["description"], f"{name} {status}"
        assert {"422", "500", "503"} <= operation["responses"].keys(), name


@each_service
@pytest.mark.parametrize("page", PAGES)
def test_the_pages_load_nothing_from_elsewhere(service: str, page: str) -> None:
    response = client_of(service).get(page)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    links = [link for link in Links(response.text).found if not link.startswith("data:")]
    assert links
    for link in links:
        assert not re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.IGNORECASE), link
        with client_of(service).get(f"/openapi/{link}") as loaded:
            assert loaded.status_code == 200, link
            if loaded.mimetype == "text/css":
                assert not re.search(r"(url\(|@import)[\s\"\']*(https?:)?//", loaded.get_data(as_text=True)), link


@each_service
def test_the_swagger_page_asks_no_validator_elsewhere(service: str) -> None:
    """By default, Swagger UI sends the document's address to a public validator, for a badge."""
    assert re.search(r'"validatorUrl":\s*null', client_of(service).get("/openapi/swagger").text)


def test_every_way_to_begin_a_checkout_takes_x_fault_and_nothing_else_does() -> None:
    taking = {
        name
        for service in SERVICES
        for name, operation in operations(document_of(service))
        if any(each["name"] == "X-Fault" for each in operation.get("parameters", ()))
    }
    assert taking == {"POST /checkout/saga", "POST /saga/checkout", "POST /saga/choreography/checkout"}


@each_service
@pytest.mark.parametrize("path", ["/openapi/openapi.json", "/nowhere"])
def test_a_json_answer_ends_with_a_newline(service: str, path: str) -> None:
    response = client_of(service).get(path)
    assert response.is_json
    assert response.text.endswith("}\n")


@each_service
def test_the_front_page_says_what_the_service_is_and_links_its_pages(service: str) -> None:
    page: dict[str, Any] = client_of(service).get("/").get_json()
    assert (page["service"], page["version"]) == (service, VERSION)
    assert page["about"] == document_of(service)["info"]["description"]
    assert len(page["about"]) > len(service)
    assert {"/openapi/", "/openapi/openapi.json", "/health"} <= set(page["links"].values())
    rules = {rule.rule for rule in app_of(service).url_map.iter_rules()}
    assert {link.rstrip("/") for link in page["links"].values()} <= {rule.rstrip("/") for rule in rules}


@each_service
def test_every_operation_has_a_tag_that_the_document_lists(service: str) -> None:
    document = document_of(service)
    listed = [tag["name"] for tag in document["tags"]]
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert sorted(used) == sorted(listed)
    assert len(listed) > 1
    assert all(len(operation["tags"]) == 1 for _, operation in operations(document))


@each_service
def test_every_body_has_an_example_that_fits(service: str) -> None:
    document = document_of(service)
    bodies = [
        (name, operation["requestBody"]) for name, operation in operations(document) if "requestBody" in operation
    ]
    assert bodies
    for name, body in bodies:
        content = body["content"]["application/json"]
        schema = jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})
        assert list(schema.iter_errors(content["example"])) == [], name
        assert content["example"] or not body["required"], name
