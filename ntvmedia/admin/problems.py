"""What the API answers when it does not do what was asked: problem details (RFC 9457).

An operation raises `Problem`, or an exception of a domain that its class has in `refusals`. The
slug of a type is the name of the exception: a program tells one kind from another by it, and a
person reads `detail`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from ntvmedia.access import StoreError
from ntvmedia.errors import LimitExceeded, NtvMediaError

MEDIA_TYPE: Final = "application/problem+json"

TYPES: Final = "/mserver/api/v1/problems/"
"""What the type of a problem begins with, where it is not "about:blank"."""

_CAPITALS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class WrongPart(Struct):
    """One part of a request that is wrong."""

    field: Annotated[str, Meta(description="Its name, with dots where it is inside another.")]
    detail: Annotated[str, Meta(description="What is wrong with it; one clause.")]


class ProblemDetails(Struct):
    """Why a request was not done (RFC 9457)."""

    type: Annotated[str, Meta(description="Which kind it is: a reference to a name, no page.")]
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
        title = self.kind.replace("-", " ").capitalize() if self.kind else phrase
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
        status = refusals.get(kind, _EVERYWHERE.get(kind))
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


_EVERYWHERE: Final[Mapping[type[Exception], int]] = {StoreError: 503, LimitExceeded: 503}


def _detail(error: Exception) -> str:
    # Without the section of a document: that is for protocols.
    return str(error.args[0]) if isinstance(error, LimitExceeded) else str(error)


def _headers(error: Any) -> dict[str, str]:
    seconds = getattr(error, "retry_after", None)
    # Whole seconds (RFC 9110 10.2.3), and not so few that it is refused once more.
    return {} if seconds is None else {"Retry-After": str(max(1, -int(-seconds // 1)))}
