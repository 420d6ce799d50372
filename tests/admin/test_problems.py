"""Tests of ntvmedia.admin.problems: problem details (RFC 9457)."""

from __future__ import annotations

import msgspec
import pytest

from ntvmedia.access import NoApplication, StoreError
from ntvmedia.accounts import SlowDown, WrongField
from ntvmedia.admin.problems import Problem, problem_of, slug
from ntvmedia.errors import LimitExceeded, Refused


def test_details() -> None:
    """Without a kind of its own the status says it all (RFC 9457 4.2.1)."""
    assert msgspec.to_builtins(Problem(404, "there is none").details()) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is none",
        "errors": [],
    }
    assert msgspec.to_builtins(Problem(400, "a.b: is missing", "a.b").details())["errors"] == [
        {"field": "a.b", "detail": "is missing"}
    ]


def test_of_a_domain() -> None:
    """What a domain raises has its name as the kind, and its field."""
    found = problem_of(WrongField("it is empty", "name"), {WrongField: 400})
    assert found is not None
    assert msgspec.to_builtins(found.details()) == {
        "type": "/mserver/api/v1/openapi.json#/components/x-problems/wrong-field",
        "title": "Wrong field",
        "status": 400,
        "detail": "name: it is empty",
        "errors": [{"field": "name", "detail": "it is empty"}],
    }


def test_most_special() -> None:
    """Of an exception's classes the nearest counts; the database's failure is 503 anyway."""

    class Special(NoApplication):
        """One more."""

    refusals: dict[type[Exception], int] = {Refused: 403, NoApplication: 404}
    found = problem_of(Special("x"), refusals)
    assert found is not None
    assert (found.status, found.kind) == (404, "special")
    for error in (StoreError("x"), LimitExceeded("x", reference="P-1", limit=1)):
        found = problem_of(error, {})
        assert found is not None
        assert (found.status, found.detail) == (503, "x")
    assert problem_of(NoApplication("x"), {}) is None
    assert problem_of(ZeroDivisionError(), refusals) is None


def test_retry_after() -> None:
    """Whole seconds, none too few (RFC 9110 10.2.3)."""
    for seconds, text in ((1, "1"), (300, "300"), (0.2, "1"), (1.2, "2")):
        error = SlowDown(seconds)  # type: ignore[arg-type]
        found = problem_of(error, {SlowDown: 429})
        assert found is not None
        assert found.headers == {"Retry-After": text}


@pytest.mark.parametrize(
    ("name", "expected"), [("NoUser", "no-user"), ("HLSError", "hls-error"), ("X", "x")]
)
def test_slug(name: str, expected: str) -> None:
    """Words, as an address has them."""
    assert slug(type(name, (Exception,), {})) == expected
