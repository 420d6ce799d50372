"""What a client sends: a JSON object in the body, names and values in the query.

Both are read by the types that an operation declares; what is wrong is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from ntvmedia.admin.problems import Problem
from ntvmedia.config.reading import unknown_name

# An application with all its sites is some 50 kB.
MAX_BODY_BYTES: Final = 128 << 10

MAX_DEPTH: Final = 32
"""Objects and lists inside one another; what is asked for here has five or so."""

MAX_QUERY_NAMES: Final = 100

_SHOWN_CHARACTERS: Final = 60

# As msgspec says where something is wrong: "... - at `$.rules[0].network`".
_WHERE: Final = re.compile(r"^(.*) - at `(?:key in )?\$([^`]*)`$", re.DOTALL)

# Types as msgspec names them, between grave accents, and as people do.
_TYPE: Final = re.compile(r"`([^`]*)`")
_TYPES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}

_NO_CHOICE: Final = "Invalid enum value "

_FIELD_OR_ITEM: Final = re.compile(r"\[|[^.\[]+")

# "Object missing required field `name`", "Object contains unknown field `nam`".
_NAMED: Final = re.compile(r"^Object (missing required|contains unknown) field `([^`]*)`$")


def json_body(request: Any) -> dict[str, object]:
    """Read the body: an object in JSON (RFC 8259), each name once.

    A form or a text, which a page of another site may have a browser send, is refused by its type
    (F-IN-07).

    Args:
        request: An `IRequest` of `twisted.web`.

    Raises:
        Problem: It is something else (400, 413, 415), or has text that cannot be kept: half of a
            surrogate pair, or a NUL character.
    """
    kinds = request.requestHeaders.getRawHeaders("content-type", [])
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "the body has to be application/json")
    data = request.content.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise Problem(413, f"the body is longer than {MAX_BODY_BYTES:,} bytes")
    try:
        body = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "the body has to be a JSON object")
    _look_through(body)
    return body


def read_body(request: Any, kind: type[Any]) -> Any:
    """Read the body as an instance of a `msgspec.Struct`.

    No body at all, as `curl -X POST` sends it, is an empty object.

    Raises:
        Problem: As for `json_body`, or 400 with the field that is wrong.
    """
    if not request.requestHeaders.hasHeader("content-type"):
        if not request.content.read(1):
            return _converted({}, kind, strict=True)
        request.content.seek(0)
    return _converted(json_body(request), kind, strict=True)


def refuse_body(request: Any) -> None:
    """Refuse a body where none is wanted, but for an empty one or an empty object.

    Raises:
        Problem: 400 or as for `json_body`.
    """
    if request.content.read(1):
        request.content.seek(0)
        if json_body(request):
            raise Problem(400, "this takes no body")


def read_query(request: Any, kind: type[Any] | None) -> Any:
    """Read the query as an instance of a `msgspec.Struct`; None where none is declared.

    Raises:
        Problem: 400, with the name that is wrong.
    """
    query = request.uri.partition(b"?")[2]
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_NAMES,
        )
    except ValueError:
        raise Problem(400, "the query is broken") from None
    lists = _lists(kind) if kind is not None else frozenset()
    found: dict[str, Any] = {}
    for name, value in pairs:
        _check_text(value, _shown(name))
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Problem(400, f"{_shown(name)}: given twice", _shown(name))
        else:
            found[name] = value
    if kind is None:
        if found:
            name = _shown(next(iter(found)))
            raise Problem(400, f"{name}: this takes no query", name)
        return None
    return _converted(found, kind, strict=False)


def _lists(kind: type[Any]) -> frozenset[str]:
    return frozenset(name for name, x in get_type_hints(kind).items() if get_origin(x) is list)


def _converted(found: dict[str, Any], kind: type[Any], *, strict: bool) -> Any:
    try:
        return msgspec.convert(found, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), kind) from None


def _wrong(text: str, kind: type[Any]) -> Problem:
    """Turn what msgspec says into a problem that names the field first, as ours do."""
    match = _WHERE.match(text)
    clause, place = (match[1], match[2].lstrip(".")) if match else (text, "")
    named = _NAMED.match(clause)
    if named:
        is_outermost = not place
        place = f"{place}.{named[2]}".lstrip(".")
        clause = "is missing"
        if named[1].startswith("contains"):
            clause = "unknown field"
            names = [field.encode_name for field in msgspec.structs.fields(kind)]
            if is_outermost and names:
                clause += f"; {unknown_name(_shown(named[2]), names)}"
    elif clause.startswith(_NO_CHOICE):
        clause = f"expected one of {', '.join(_choices(kind, place))}"
    else:
        clause = clause[:1].lower() + _TYPE.sub(_in_words, clause[1:])
    field = ascii(place[: 2 * _SHOWN_CHARACTERS])[1:-1]
    return Problem(400, f"{field}: {clause}" if field else clause, field)


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_TYPES.get(name, name) for name in match[1].split(" | "))


def _choices(kind: type[Any], place: str) -> list[str]:
    """Return what may stand at a place such as "rules[0].action", where one of a few words may."""
    types: list[inspect.Type] = [inspect.type_info(kind)]
    for part in _FIELD_OR_ITEM.findall(place):
        inside: list[inspect.Type] = []
        for type_ in _alternatives(types):
            if isinstance(type_, inspect.StructType):
                inside += [x.type for x in type_.fields if x.encode_name == part]
            elif isinstance(type_, inspect.ListType) and part == "[":
                inside.append(type_.item_type)
        types = inside or types
    found: list[str] = []
    for type_ in _alternatives(types):
        if isinstance(type_, inspect.LiteralType):
            found += map(str, type_.values)
        elif isinstance(type_, inspect.EnumType):
            found += [str(x.value) for x in type_.cls]
    return found


def _alternatives(types: list[inspect.Type]) -> Iterator[inspect.Type]:
    for type_ in types:
        while isinstance(type_, inspect.Metadata):
            type_ = type_.type
        if isinstance(type_, inspect.UnionType):
            yield from _alternatives(list(type_.types))
        else:
            yield type_


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, f"{_shown(name)}: given twice", _shown(name))
        found[name] = value
    return found


def _no_constant(name: str) -> object:
    # Python's parser takes NaN and Infinity, which are not JSON.
    raise ValueError(name)


def _look_through(body: dict[str, object]) -> None:
    """Refuse what is too deep, and text that no database keeps."""
    level: list[tuple[str, object]] = list(body.items())
    for name in body:
        _check_text(name, _shown(name))
    for _depth in range(MAX_DEPTH):
        below: list[tuple[str, object]] = []
        for name, value in level:
            if isinstance(value, str):
                _check_text(value, _shown(name))
            elif isinstance(value, list):
                below.extend((name, item) for item in value)
            elif isinstance(value, dict):
                for inner in value:
                    _check_text(inner, _shown(name))
                below.extend((name, item) for item in value.values())
        if not below:
            return
        level = below
    raise Problem(400, f"more than {MAX_DEPTH} objects and lists are inside one another")


def _check_text(text: str, field: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Problem(400, f"{field}: it has a character that is none", field)


def _shown(name: str) -> str:
    return ascii(name[:_SHOWN_CHARACTERS])[1:-1]
