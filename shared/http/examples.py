"""Examples of request bodies in the OpenAPI documents, from what their schemas say of each field."""

from typing import Any

ID = "01a208e4-7d52-7c3a-9b1f-2f6f1c9a7e55"  # a UUIDv7
TIME = "2026-01-31T12:00:00Z"
Schema = dict[str, Any]


def example_of(schema: Schema, document: dict[str, Any]) -> Any:
    """Return a value that fits the schema: its own example, or else one built from the examples of its fields."""
    if "$ref" in schema:
        return example_of(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(_first_with_value(schema), document)
    return _plain(schema, document)


def _first_with_value(schema: Schema) -> Schema:
    found: Schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    return found


def _plain(schema: Schema, document: dict[str, Any]) -> Any:
    match schema.get("type"):
        case "object":
            return {name: example_of(each, document) for name, each in _shown(schema)}
        case "array":
            return [example_of(schema["items"], document)]
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
    return {"uuid": ID, "date-time": TIME}.get(schema.get("format", ""), "text")


def _shown(schema: Schema) -> list[tuple[str, Schema]]:
    """Return the fields to show: required ones, and those that have an example of their own."""
    needed = schema.get("required", ())
    return [(name, each) for name, each in schema.get("properties", {}).items() if name in needed or "examples" in each]
