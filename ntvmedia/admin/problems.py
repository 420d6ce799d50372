"""What the API answers when it does not do what was asked: problem details (RFC 9457).

An operation raises `Problem`, or an exception of a domain that its class has in `refusals`. The
slug of a type is the name of the exception: a program tells one kind from another by it, and a
person reads `detail`. A type is the address of what the API's own description says of it, which
everybody may open (RFC 9457 3.1.1).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from ntvmedia.access import StoreError
from ntvmedia.errors import LimitExceeded, NtvMediaError

MEDIA_TYPE: Final = "application/problem+json"

SECTION: Final = "x-problems"
"""Of the description's components: the kinds of problems, by their slugs."""

TYPES: Final = f"/mserver/api/v1/openapi.json#/components/{SECTION}/"
"""What the type of a problem begins with, where it is not "about:blank": the fragment is a pointer
into the description (RFC 6901)."""

KINDS: Final[Mapping[str, str]] = {
    "blocked-address": "A rule keeps this address out of the API.",
    "limit-exceeded": "Too much waits already: try again later.",
    "no-stream": "Nobody publishes such a stream now.",
    "no-viewer": "Nobody of this number watches.",
    "too-many": "There are as many of these as there may be.",
    "wrong-field": "There is no such field, or its value is not allowed.",
    "wrong-password": "It is not the password so far, or name and password do not belong together.",
}
"""What is said of the kinds that are no exception's, or that several exceptions have."""

_CAPITALS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class WrongPart(Struct):
    """One part of a request that is wrong."""

    field: Annotated[str, Meta(description="Its name, with dots where it is inside another.")]
    detail: Annotated[str, Meta(description="What is wrong with it; one clause.")]


class ProblemDetails(Struct):
    """Why a request was not done (RFC 9457)."""

    type: Annotated[
        str, Meta(description="Which kind it is: what is said of it, in this document.")
    ]
    title: Annotated[str, Meta(description="The same for all of this kind.")]
    status: Annotated[int, Meta(ge=400, le=599, description="As in the head of the answer.")]
    detail: Annotated[str, Meta(description="What is wrong this time; one clause.")]
    errors: Annotated[
        list[WrongPart], Meta(description="The parts of the request that are to blame, if any.")
    ]


class Problem(NtvMediaError):
    """A request is not done.

    Args:
        status: A code of `http.HTTPStatus`, 400 or above.
        detail: One clause, for people.
        field: The part of the request that is to blame; empty for none.
        kind: The slug of its type; empty where the status says it all ("about:blank").
        headers: Further fields of the answer's head.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str = "",
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = int(status)
        self.detail = detail
        self.field = field
        self.kind = kind
        self.headers = dict(headers or {})

    def details(self) -> ProblemDetails:
        """Return what the answer says."""
        phrase = HTTPStatus(self.status).phrase
        title = title_of(self.kind) if self.kind else phrase
        clause = self.detail.removeprefix(f"{self.field}: ")
        return ProblemDetails(
            type=f"{TYPES}{self.kind}" if self.kind else "about:blank",
            title=title,
            status=self.status,
            detail=self.detail,
            errors=[WrongPart(self.field, clause)] if self.field else [],
        )


def problem_of(error: Exception, refusals: Mapping[type[Exception], int]) -> Problem | None:
    """Turn what an operation raised into a problem.

    Args:
        error: It.
        refusals: Statuses by class; the most special class counts.

    Returns:
        None for what is a bug.
    """
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        status = refusals.get(kind, EVERYWHERE.get(kind))
        if status is not None:
            return Problem(
                status,
                _detail(error),
                str(getattr(error, "field", "")),
                kind=slug(type(error)),
                headers=_headers(error),
            )
    return None


def slug(kind: type[BaseException]) -> str:
    """Return the name of an exception as its type's last part has it: "no-application"."""
    return _CAPITALS.sub("-", kind.__name__).lower()


def title_of(kind: str) -> str:
    """Return what people call a kind: "No application"."""
    return kind.replace("-", " ").capitalize()


def described_kinds(refusals: Iterable[type[Exception]]) -> dict[str, dict[str, str]]:
    """Say what each kind of problem is, by its slug.

    Args:
        refusals: The exceptions that operations turn into problems; those below them are too.
    """
    texts: dict[str, str] = {}
    classes = [*refusals, *EVERYWHERE]
    while classes:
        kind = classes.pop()
        if slug(kind) not in texts:
            texts[slug(kind)] = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
            classes += kind.__subclasses__()
    texts |= KINDS
    return {
        kind: {"title": title_of(kind), "description": text} for kind, text in sorted(texts.items())
    }


EVERYWHERE: Final[Mapping[type[Exception], int]] = {StoreError: 503, LimitExceeded: 503}
"""Statuses of what may fail any operation."""


def _detail(error: Exception) -> str:
    # Without the section of a document: that is for protocols.
    return str(error.args[0]) if isinstance(error, LimitExceeded) else str(error)


def _headers(error: Any) -> dict[str, str]:
    seconds = getattr(error, "retry_after", None)
    # Whole seconds (RFC 9110 10.2.3), and not so few that it is refused once more.
    return {} if seconds is None else {"Retry-After": str(max(1, -int(-seconds // 1)))}
