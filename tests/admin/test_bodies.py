"""Tests of ntvmedia.admin.bodies: what clients send, however wrong it is."""

from __future__ import annotations

import io
import json
import time
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.web.http_headers import Headers

from ntvmedia.admin.bodies import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    json_body,
    read_body,
    read_query,
    refuse_body,
)
from ntvmedia.admin.paging import Paging
from ntvmedia.admin.problems import Problem


class Rule(Struct, forbid_unknown_fields=True):
    """Something inside."""

    network: str
    action: Literal["trust", "block"] | UnsetType = UNSET


class Thing(Struct, forbid_unknown_fields=True, kw_only=True):
    """Something that is sent."""

    name: Annotated[str, Meta(max_length=10)]
    count: Annotated[int, Meta(ge=1, le=9)] | UnsetType = UNSET
    rules: list[Rule] = msgspec.field(default_factory=list)
    on: list[Literal["play", "publish"]] | None = None


class Options(Struct, forbid_unknown_fields=True, kw_only=True):
    """Something that need not be sent."""

    seconds: int = 0


class Query(Paging, kw_only=True):
    """Something that is asked."""

    enabled: bool | None = None
    tag: list[str] = msgspec.field(default_factory=list)


class Request:
    """As much of a request as is looked at."""

    def __init__(self, body: bytes = b"", kind: str = "application/json", query: str = "") -> None:
        self.content = io.BytesIO(body)
        self.requestHeaders = Headers({"content-type": [kind]} if kind else {})
        self.uri = b"/x?" + query.encode("utf-8")


def refused(body: bytes) -> Problem:
    """Return why a body is refused."""
    with pytest.raises(Problem) as caught:
        read_body(Request(body), Thing)
    return caught.value


def test_good() -> None:
    """A body is an instance of its type; what was not given is told from what was."""
    found = read_body(Request(b'{"name": "\\u4e2d", "rules": [{"network": "x"}]}'), Thing)
    assert found == Thing(name="中", rules=[Rule("x")])
    assert found.count is UNSET


@pytest.mark.parametrize(
    ("body", "detail", "field"),
    [
        (b"{}", "name: is missing", "name"),
        (b'{"name": 5}', "name: expected text, got a whole number", "name"),
        (b'{"name": null}', "name: expected text, got null", "name"),
        (b'{"name": "a", "count": 10}', "count: expected a whole number <= 9", "count"),
        (
            b'{"name": "a", "count": true}',
            "count: expected a whole number, got true or false",
            "count",
        ),
        (b'{"name": "a", "count": "5"}', "count: expected a whole number, got text", "count"),
        (b'{"name": "a", "coumt": 5}', "coumt: unknown field; did you mean count?", "coumt"),
        (
            b'{"name": "a", "rules": [{}]}',
            "rules[0].network: is missing",
            "rules[0].network",
        ),
        (
            b'{"name": "a", "rules": [{"network": "a"}, {"network": 5}]}',
            "rules[1].network: expected text, got a whole number",
            "rules[1].network",
        ),
        (b'{"name": "a", "rules": [{"network": "a", "x": 1}]}', None, "rules[0].x"),
        (
            b'{"name": "a", "rules": [{"network": "a", "action": "s3cret"}]}',
            "rules[0].action: expected one of block, trust",
            "rules[0].action",
        ),
        (b'{"name": "a", "on": ["play", "x"]}', "on[1]: expected one of play, publish", "on[1]"),
        (b'{"name": "a", "rules": {}}', "rules: expected a list, got an object", "rules"),
        (b'{"name": "a\\u0000b"}', "name: it has a character that is none", "name"),
        (b'{"name": "\\ud800"}', "name: it has a character that is none", "name"),
        (b'{"name": "a", "\\udfff": 1}', None, "\\udfff"),
        (b'{"name": "a", "x\\u001b[2J": 1}', None, "x\\x1b[2J"),
        (b'{"name": "a", "name": "b"}', "name: given twice", "name"),
        (b'{"name": "a", "rules": [{"network": "a", "network": "b"}]}', None, "network"),
        (b'{"name": "' + b"x" * 200 + b'"}', "name: expected text of length <= 10", "name"),
        (b'{"' + b"x" * 9000 + b'": 1, "name": "a"}', None, "x" * 60),
    ],
)
def test_wrong_field(body: bytes, detail: str | None, field: str) -> None:
    """The field that is to blame is named, and a value is not quoted (F-AC-03)."""
    problem = refused(body)
    assert (problem.status, problem.field[:60]) == (400, field)
    assert detail is None or str(problem) == detail
    assert str(problem).isprintable()
    assert len(str(problem)) < 500


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"nul", b"{} {}", b'{"name": "\xff"}', b'\xef\xbb\xbf{"name": "a"}'),
        b'{"name": "a", "count": NaN}',
        b'{"name": "a", "count": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'["name"]',
        b"5",
        b"null",
    ],
)
def test_no_object(body: bytes) -> None:
    """What is no JSON object is refused, also what would exhaust the stack."""
    assert refused(body).status == 400


def test_depth() -> None:
    """F-RE-02: a bomb of objects inside objects is refused before it is looked at by its type."""
    for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
        for depth, is_deep in ((MAX_DEPTH - 1, False), (MAX_DEPTH, True), (900, True)):
            body = b'{"name": ' + opening * depth + b"1" + closing * depth + b"}"
            assert ("inside one another" in str(refused(body))) is is_deep


def test_size() -> None:
    """A body is bounded, and the bound is for all of it."""
    body = b'{"name": "a"}'
    assert read_body(Request(body.ljust(MAX_BODY_BYTES)), Thing).name == "a"
    assert refused(body.ljust(MAX_BODY_BYTES + 1)).status == 413


def test_time() -> None:
    """F-RE-14: the largest bodies of the nastiest sorts are read in linear time."""
    for body in (
        b'{"name":"' + b"a" * 130_000 + b'"}',
        b"{" + b",".join(b'"%d":1' % number for number in range(12_000)) + b"}",
        b'{"name":[' + b"[]," * 40_000 + b"1]}",
        b'{"a`$.b - at `$.' + b"`" * 100_000 + b'":1}',
    ):
        began = time.perf_counter()
        refused(body)
        assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_wrong_type(kind: str) -> None:
    """F-IN-07: a body that a form may send is none."""
    with pytest.raises(Problem) as caught:
        read_body(Request(b'{"name": "a"}', kind), Thing)
    assert caught.value.status == 415


def test_nothing_sent() -> None:
    """Without a body, and without saying what it would be, all fields are as by default."""
    assert read_body(Request(b"", ""), Options) == Options()
    with pytest.raises(Problem) as caught:
        read_body(Request(b"", ""), Thing)
    assert (caught.value.status, caught.value.field) == (400, "name")
    with pytest.raises(Problem) as caught:
        read_body(Request(b"", "text/plain"), Options)
    assert caught.value.status == 415


def test_no_body_wanted() -> None:
    """An empty body or object is none; another is refused."""
    refuse_body(Request(b"", ""))
    refuse_body(Request(b"{}"))
    for body, kind in ((b'{"a": 1}', "application/json"), (b"a", ""), (b"[]", "application/json")):
        with pytest.raises(Problem):
            refuse_body(Request(body, kind))


def test_query() -> None:
    """A query is read by its type: numbers, flags, lists."""
    found = read_query(Request(query="page=3&enabled=false&tag=a&tag=%E4%B8%AD&q=a+b"), Query)
    assert found == Query(page=3, enabled=False, tag=["a", "中"], q="a b")
    assert read_query(Request(), Query) == Query()
    assert read_query(Request(), None) is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("page=0", "page"), ("page=x", "page"), ("page=", "page"), ("page=1.5", "page")),
        *(("page=1&page=1", "page"), ("enabled=maybe", "enabled"), ("q=%00", "q")),
        *(("page_size=501", "page_size"), ("none=1", "none"), ("q=%ff", ""), ("é=1", "")),
        *(("q=" + "x" * 257, "q"), ("&".join("a" for _ in range(101)), ""), ("%1b=1", "\\x1b")),
        ("page=" + "9" * 5000, "page"),
    ],
)
def test_wrong_query(query: str, field: str) -> None:
    """The name that is wrong is told."""
    with pytest.raises(Problem) as caught:
        read_query(Request(query=query), Query)
    assert (caught.value.status, caught.value.field) == (400, field)


def test_no_query_wanted() -> None:
    """What takes none refuses one: a misspelt filter is not passed over."""
    with pytest.raises(Problem, match="x: this takes no query"):
        read_query(Request(query="x=1"), None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_only_problems(data: bytes) -> None:
    """Whatever the bytes, a body is good or a problem."""
    for work in (json_body, lambda request: read_body(request, Thing)):
        try:
            work(Request(data))
        except Problem as problem:
            assert problem.status in (400, 413)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=100))
def test_only_problems_of_queries(query: str) -> None:
    """And so is a query."""
    request: Any = Request(query=query)
    try:
        read_query(request, Query)
    except Problem as problem:
        assert problem.status == 400
