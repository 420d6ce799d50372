"""The API described: an OpenAPI 3.1 document, made of the declarations that serve it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from ntvmedia import __version__
from ntvmedia.admin.operations import EDITING, READING, ROOT, Operation, Operations
from ntvmedia.admin.problems import MEDIA_TYPE, SECTION, ProblemDetails, described_kinds

_REF: Final = "#/components/schemas/{name}"

_PARTS: Final = re.compile(r"\{([a-z_]+)\}")

_SECURITY: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "ntvmedia_session",
        "description": "From `POST /session`. Requests that change something need `X-CSRF-Token`.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "From `POST /tokens`, or `ntvmedia api POST /tokens`.",
    },
}


def document(kinds: Iterable[type[Operations]]) -> dict[str, Any]:
    """Describe the operations of some classes (OpenAPI 3.1.0)."""
    kinds = list(kinds)
    declared = [(kind, operation) for kind in kinds for operation in kind.declared()]
    wanted = [ProblemDetails]
    for _kind, operation in declared:
        wanted += [x for x in (operation.body, operation.query, operation.answers) if x is not None]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_REF)
    schema_of = {str(kind): schema for kind, schema in zip(wanted, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for kind, operation in declared:
        described = _operation(kind, operation, schema_of, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    # Their fields stand with each operation.
    queries = {_name(schema_of[str(x.query)]) for _kind, x in declared if x.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "NTV Media Server",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ROOT}],
        "tags": [
            {"name": kind.tag, "description": _first_line(kind)}
            for kind in {kind.tag: kind for kind in kinds}.values()
        ],
        "paths": paths,
        "components": {
            "schemas": {name: x for name, x in components.items() if name not in queries},
            "securitySchemes": _SECURITY,
            SECTION: described_kinds(error for kind in kinds for error in kind.refusals),
        },
    }


def _operation(
    kind: type[Operations],
    operation: Operation,
    schema_of: Mapping[str, dict[str, Any]],
    components: Mapping[str, Any],
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [kind.tag],
        "operationId": f"{kind.__name__}.{operation.name}",
        "summary": operation.summary,
    }
    if operation.description:
        described["description"] = operation.description
    parameters = list(_parameters(operation, schema_of, components))
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        schema = schema_of[str(operation.body)]
        described["requestBody"] = {
            # None at all is an empty object.
            "required": any(x.required for x in msgspec.structs.fields(operation.body)),
            "content": {"application/json": {"schema": schema}},
        }
    described["responses"] = _responses(kind, operation, schema_of)
    if operation.role is None:
        described["security"] = []
    else:
        described["security"] = [{"session": []}, {"token": []}]
        described["x-role"] = operation.role.value
    return described


def _parameters(
    operation: Operation, schema_of: Mapping[str, dict[str, Any]], components: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for name in _PARTS.findall(operation.path):
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query is not None:
        query = components[_name(schema_of[str(operation.query)])]
        for field, schema in query["properties"].items():
            plain = {key: value for key, value in schema.items() if key != "description"}
            parameter = {"name": field, "in": "query", "schema": plain}
            if "description" in schema:
                parameter["description"] = schema["description"]
            if field in query.get("required", ()):
                parameter["required"] = True
            yield parameter
    if operation.media_type == "text/event-stream":
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": {"type": "string"},
            "description": "Of the last event that the client had: it is told what it missed.",
        }
    if operation.conditional:
        yield {
            "name": "If-Match",
            "in": "header",
            "schema": {"type": "string"},
            "description": "The ETag of a GET: the edit is refused if there was another since.",
        }


def _responses(
    kind: type[Operations], operation: Operation, schema_of: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    done: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answers is not None:
        schema = schema_of[str(operation.answers)]
        done["content"] = {operation.media_type: {"schema": schema}}
    elif operation.status != 204:
        done["content"] = {operation.media_type: {}}
    responses = {str(operation.status): done}
    for status in sorted(refused_statuses(kind, operation)):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema_of[str(ProblemDetails)]}},
        }
    return responses


def refused_statuses(kind: type[Operations], operation: Operation) -> set[int]:
    """Return the statuses that an operation may answer when it is not done."""
    # Of the query and the request's head; whatever takes none refuses one.
    found = {400, *operation.errors, *kind.refusals.values(), 503}
    if operation.role is not None:
        found |= {401, 403}
    if operation.body is not None or operation.method not in READING:
        found |= {413, 415}
    if "{" in operation.path:
        found.add(404)
    if operation.method in EDITING:
        # What has no ETag has not the one that is asked for either.
        found.add(412)
    return found


def _name(schema: Mapping[str, Any]) -> str:
    """Return the name of what a schema refers to."""
    return str(schema["$ref"]).rpartition("/")[2]


def _first_line(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
