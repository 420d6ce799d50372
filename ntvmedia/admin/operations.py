"""What the API can do, declared: one class for each subject, one method for each operation.

    class Streams(Operations):
        "What people do with live streams."

        tag = "streams"
        refusals = {NoStream: 404}

        @operation("GET", "/streams/{application}/{stream}", role=Role.VIEWER, answers=Detail)
        def stream(self, call: Call) -> Detail:
            "Show one stream."

The declaration is all there is: `ntvmedia.admin.api` serves it, asks for the right first, and reads
query and body by their types; `ntvmedia.admin.openapi` describes it. Neither a route nor a check is
written a second time. Nothing here imports Klein, which installs a reactor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec
from twisted.internet.defer import Deferred, DeferredLock

from ntvmedia.accounts import Identity, Role
from ntvmedia.admin.problems import Problem

ROOT: Final = "/mserver/api/v1"
"""What the paths of all operations are below."""

READING: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110 9.2.1): they need no proof against CSRF."""

EDITING: Final = frozenset({"PATCH", "PUT", "DELETE"})
"""Methods that change what there is: `If-Match` means something with them."""

_F = TypeVar("_F", bound=Callable[..., Any])

_MARK: Final = "_ntvmedia_operation"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as it is declared.

    Attributes:
        method: Of HTTP, upper case.
        path: Below `ROOT`, with `{name}` for each part that varies.
        role: The least that whoever asks must have; None for an operation that is open to all.
        body: The type of the request's body, a `msgspec.Struct`; None for one without.
        query: The same for the query; None for an operation that takes none.
        answers: The type of the answer's body; None for one without, or that is no JSON.
        status: Of the answer when it is done; 204 where there is no body.
        media_type: Of the answer's body.
        summary: One line.
        description: What else is to be said of it.
        errors: Statuses that it may answer besides those of its class and those of all.
        conditional: What it edits has an ETag, and it asks `Call.must_match`.
        name: Of the method.
    """

    method: str
    path: str
    role: Role | None
    body: type[Any] | None
    query: type[Any] | None
    answers: Any
    status: int
    media_type: str
    summary: str
    description: str
    errors: tuple[int, ...]
    conditional: bool
    name: str


def operation(
    method: str,
    path: str,
    *,
    role: Role | None,
    body: type[Any] | None = None,
    query: type[Any] | None = None,
    answers: Any = None,
    status: int = 200,
    media_type: str = "application/json",
    summary: str = "",
    errors: tuple[int, ...] = (),
    has_etag: bool = True,
) -> Callable[[_F], _F]:
    """Declare that a method of an `Operations` class answers requests.

    The method takes a `Call`, and returns an instance of `answers`, an `Answer`, a `Streaming`,
    or None for an answer without a body; it may be `async`, or return a Deferred. Where the client
    hangs up meanwhile it goes on to its end.

    Args:
        summary: By default the first line of the method's docstring; the rest of that is the
            description.
        has_etag: What it edits has one; without, `If-Match` with one is 412.

    The other arguments are as in `Operation`.
    """

    def declare(function: _F) -> _F:
        first, _empty, rest = inspect.cleandoc(function.__doc__ or "").partition("\n")
        declared = Operation(
            method=method,
            path=path,
            role=role,
            body=body,
            query=query,
            answers=answers,
            status=204 if answers is None and media_type == "application/json" else status,
            media_type=media_type,
            summary=summary or first.rstrip("."),
            description=rest.strip(),
            errors=errors,
            conditional=has_etag and method in EDITING,
            name=function.__name__,
        )
        setattr(function, _MARK, declared)
        return function

    return declare


@dataclass(slots=True)
class Call:
    """One request for an operation, checked and read.

    Attributes:
        path: The parts of the path that vary, by name, decoded.
        query: As declared; None where none is.
        body: The same.
        identity: Who asks. For an operation that is open to all it may be None, whatever the
            annotation says: those few look.
        peer_host: The client's address; empty over the control socket.
        if_match: The field `If-Match` as sent; None without one.
        request: Of `twisted.web`, for what is not here.
        note_change: As `Accounts.note`.
    """

    path: dict[str, str]
    query: Any
    body: Any
    identity: Identity
    peer_host: str
    if_match: str | None
    request: Any
    note_change: Callable[[Identity, str, str, str], Any] = field(repr=False)

    def note(self, action: str, subject: str) -> Any:
        """Return the `Note` that writes down, with a change, who made it.

        Args:
            action: What is done, as a verb after its domain: "applications.change".
            subject: To what: its name.
        """
        return self.note_change(self.identity, self.peer_host, action, subject)

    def must_match(self, shown: Any) -> None:
        """Refuse an edit of what has changed since the client read it (RFC 9110 13.1.1).

        Args:
            shown: What the ETag of a GET is made of, as it is now; None where it has none.

        Raises:
            Problem: 412.
        """
        if self.if_match is None:
            return
        # Weak tags too: nginx makes them of ours where it compresses.
        tags = {tag.strip().removeprefix("W/") for tag in self.if_match.split(",")}
        if "*" in tags:
            return
        if shown is None:
            raise Problem(412, "this has no ETag that could match")
        if etag_of(shown) not in tags:
            raise Problem(412, "it was changed meanwhile: read it again")


@dataclass(slots=True)
class Answer:
    """An answer with more than a body.

    Attributes:
        body: A `msgspec.Struct`, or bytes of the declared media type; None for none.
        status: Of HTTP.
        headers: Further fields of the head.
        etag: As `etag_of` makes it; None for none.
        media_type: Instead of the declared one.
    """

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    media_type: str | None = None


class Streaming(NamedTuple):
    """An answer that goes on until its client has enough.

    Attributes:
        begin: Called with the request, whose head is set. It writes to it, and returns what fires
            when nothing more will be written; it is cancelled when the client leaves.
    """

    begin: Callable[[Any], Deferred[None]]


def etag_of(shown: Any) -> str:
    """Return the strong ETag of what is shown of a thing: of a Struct, or what JSON can have."""
    return f'"{sha256(msgspec.json.encode(shown, order="sorted")).hexdigest()[:32]}"'


class Turns:
    """Changes of one thing, one after the other, by whatever way they are asked for.

    A part of the host, `host.part(Turns)`: the HTTP ports and the control socket have operations
    of their own.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._locks: dict[str, DeferredLock] = {}

    def of(self, subject: str) -> DeferredLock:
        """Return what those who change a subject wait for."""
        return self._locks.setdefault(subject, DeferredLock())


class Operations:
    """The operations on one subject. A subclass declares them, and holds no state of the subject.

    Those that change what there is (`EDITING`) follow one another where they have the same `edits`,
    so what `Call.must_match` saw is what is changed.

    Args:
        host: The server, an `ntvmedia.interfaces.IHost`.

    Attributes:
        tag: What they are listed under.
        edits: What they change: a name, the tag by default. Two classes that change the same have
            the same.
        refusals: Statuses for the exceptions of the domain; a subclass of one of them has its
            status too. `StoreError` and `LimitExceeded` are 503 in any case.
    """

    tag: ClassVar[str] = ""
    edits: ClassVar[str] = ""
    refusals: ClassVar[Mapping[type[Exception], int]] = {}

    def __init__(self, host: Any) -> None:
        self.host = host
        self.turns: DeferredLock = host.part(Turns).of(self.edits or self.tag)

    @classmethod
    def declared(cls) -> Iterator[Operation]:
        """Yield the operations, in the order of the declaration."""
        for parent in reversed(cls.__mro__):
            for function in vars(parent).values():
                found = getattr(function, _MARK, None)
                if found is not None:
                    yield found
