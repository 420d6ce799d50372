"""Tests of ntvmedia.admin.openapi: the description is valid, whole, and says what is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis

from ntvmedia.admin import problems
from ntvmedia.admin.openapi import document, refused_statuses
from ntvmedia.admin.operations import READING, ROOT, Operation
from ntvmedia.admin.problems import KINDS, TYPES, slug, title_of
from ntvmedia.admin.resources import RESOURCES


@pytest.fixture(scope="module")
def described() -> Any:
    """Return the document as it is served."""
    return json.loads(msgspec.json.encode(document(RESOURCES)))


def operations() -> list[Operation]:
    """Return all that the API can do."""
    return [operation for kind in RESOURCES for operation in kind.declared()]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each object inside a value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_valid(described: Any) -> None:
    """It is OpenAPI 3.1, by the schema of that."""
    assert described["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(described).validate()


def test_references(described: Any) -> None:
    """What is referred to is there, and what is there is referred to."""
    used = {node["$ref"] for node in nodes(described) if isinstance(node.get("$ref"), str)}
    there = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert used == there


def test_whole(described: Any) -> None:
    """Each operation is described once, under a name of its own."""
    found = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
    declared = [(x.method, x.path) for x in operations()]
    assert len(declared) == len(set(declared))
    assert found == set(declared)
    names = [x["operationId"] for item in described["paths"].values() for x in item.values()]
    assert len(names) == len(set(names))
    tags = [tag["name"] for tag in described["tags"]]
    assert len(tags) == len(set(tags))


def test_each_operation(described: Any) -> None:
    """Each has a summary, its parameters, its role, and the statuses that it may answer."""
    tags = {tag["name"] for tag in described["tags"]}
    for declared in operations():
        item = described["paths"][declared.path][declared.method.lower()]
        assert item["summary"] and not item["summary"].endswith("."), declared.path
        assert set(item["tags"]) <= tags
        named = re.findall(r"\{([a-z_]+)\}", declared.path)
        inside = [x["name"] for x in item.get("parameters", []) if x["in"] == "path"]
        assert inside == named
        assert ("requestBody" in item) is (declared.body is not None)
        if declared.body is not None:
            needed = any(field.required for field in msgspec.structs.fields(declared.body))
            assert item["requestBody"]["required"] is needed
        assert item.get("x-role") == declared.role
        assert (item["security"] == []) is (declared.role is None)
        statuses = set(item["responses"])
        assert str(declared.status) in statuses
        assert declared.role is None or {"401", "403"} <= statuses
        for status, answer in item["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"]


def test_kinds_of_problems(described: Any) -> None:
    """RFC 9457 3.1.1: the type of each problem leads to what it means, in this document."""
    place, _mark, pointer = TYPES.partition("#")
    assert place == ROOT + "/openapi.json"
    section: Any = described
    for part in pointer.strip("/").split("/"):
        section = section[part]
    raised = {slug(error) for kind in RESOURCES for error in kind.refusals}
    # What is no exception's is named where it is raised.
    named = {
        kind
        for path in Path(problems.__file__).parent.glob("*.py")
        for kind in re.findall(r'\bkind="([a-z-]+)"', path.read_text("utf-8"))
    }
    assert named and raised | named | {"store-error", "limit-exceeded"} <= set(section)
    assert set(KINDS) <= set(section)
    for kind, said in section.items():
        assert (said["title"], bool(said["description"])) == (title_of(kind), True), kind


def test_bodies_are_strict() -> None:
    """A misspelt field is refused everywhere, not passed over."""
    for declared in operations():
        for kind in (declared.body, declared.query):
            if kind is not None:
                assert kind.__struct_config__.forbid_unknown_fields, (declared.path, kind)


def test_reading_takes_no_body() -> None:
    """What only reads is asked by its address."""
    for declared in operations():
        assert declared.method not in READING or declared.body is None


def test_statuses() -> None:
    """A refusal of a domain is among the statuses of its class."""
    for kind in RESOURCES:
        for declared in kind.declared():
            assert set(kind.refusals.values()) <= refused_statuses(kind, declared)
