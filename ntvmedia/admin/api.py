"""The API served: the routes of all operations, and of `/metrics`, by Klein.

Each request goes one way, whatever its operation: who asks is looked at first, also where there is
no such address, so that nobody learns which there are; then its query and its body are read; then
the operation has its turn. See `ntvmedia.admin.operations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from zope.interface import implementer

from ntvmedia.accounts import Role
from ntvmedia.admin.bodies import read_body, read_query, refuse_body
from ntvmedia.admin.identification import Identification, client_host, unknown
from ntvmedia.admin.metrics import Metrics
from ntvmedia.admin.operations import (
    EDITING,
    READING,
    ROOT,
    Answer,
    Call,
    Operation,
    Operations,
    Streaming,
)
from ntvmedia.admin.problems import Problem, problem_of
from ntvmedia.admin.replies import encoded, refuse, reply

_PARTS: Final = re.compile(r"\{([a-z_]+)\}")

# What is served is spelled so: Klein takes "//mserver" and "%6Dserver" for it too, which would go
# around the rules of a proxy in front.
_PREFIX: Final = f"{ROOT}/".encode("ascii")
_METRICS: Final = b"/metrics"

# RFC 9110 5.6.2 and 9.1, as far as anybody has methods.
_METHOD: Final = re.compile(rb"[A-Za-z-]{1,20}")

# RFC 3986 3.2.2: names (of other scripts as the DNS has them), addresses, a port.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class API:
    """All operations as one web resource.

    Args:
        host: The server.
        kinds: The classes of operations.
        is_control: The requests come over the control socket.

    Attributes:
        app: The Klein application.
    """

    _log = Logger()

    def __init__(
        self, host: Any, kinds: Iterable[type[Operations]], *, is_control: bool = False
    ) -> None:
        self._host = host
        self._identification = Identification(host, is_control=is_control)
        self._metrics = Metrics(host)
        self.app = app = Klein()
        # No redirections to other spellings: who follows one with another method is surprised.
        app.url_map.merge_slashes = False
        # By path, of those without a part that varies.
        self._methods: dict[str, set[str]] = {}
        self._open: set[str] = set()
        for kind in kinds:
            operations = kind(host)
            for operation in kind.declared():
                path = ROOT + operation.path
                if "{" not in path:
                    methods = self._methods.setdefault(path, set())
                    methods |= {operation.method, *({"HEAD"} if operation.method == "GET" else ())}
                if operation.role is None:
                    self._open.add(path)
                app.route(
                    ROOT + _PARTS.sub(r"<\1>", operation.path),
                    methods=[operation.method],
                    endpoint=f"{kind.__module__}.{kind.__qualname__}.{operation.name}",
                )(self._route(operations, operation))
        app.route("/metrics", methods=["GET"], endpoint="metrics")(self._show_metrics)
        app.handle_errors(HTTPException)(self._no_route)

    def resource(self) -> Any:
        """Return the `twisted.web.resource.IResource` for every path."""
        return Front(self.app.resource())

    def _route(self, operations: Operations, operation: Operation) -> Callable[..., Any]:
        work = getattr(operations, operation.name)

        def serve(request: Any, **path: str) -> Any:
            if not request.path.startswith(_PREFIX):
                return self._no_route(request, Failure(NotFound()))
            try:
                call = self._read(request, operation, path)
            except Exception:
                return self._failed(Failure(), request, operations)
            # What the client is given is not the work itself: one that hangs up cancels the one,
            # and must not leave the other half done.
            answer: Deferred[Any] = Deferred()
            if operation.method in EDITING:
                done = operations.turns.run(_run, work, call)
            else:
                done = _run(work, call)
            done.chainDeferred(answer)
            answer.addCallback(self._answered, request, operation)
            answer.addErrback(self._failed, request, operations)
            return answer

        return serve

    def _read(self, request: Any, operation: Operation, path: dict[str, str]) -> Call:
        identity = self._identification.authorize(request, operation.role)
        for name, value in path.items():
            if "\0" in value:
                raise Problem(404, f"{name}: no name has this character", name)
        query = read_query(request, operation.query)
        body = None
        if operation.body is not None:
            body = read_body(request, operation.body)
        elif operation.method not in READING:
            refuse_body(request)
        matches = request.requestHeaders.getRawHeaders("if-match", [])
        call = Call(
            path=path,
            query=query,
            body=body,
            identity=identity,  # type: ignore[arg-type]
            peer_host=client_host(self._host, request),
            if_match=", ".join(matches) if matches else None,
            request=request,
            note_change=self._host.accounts.note,
        )
        if operation.method in EDITING and not operation.conditional:
            # What was read has no ETag: whatever is asked for, it is another one.
            call.must_match(None)
        return call

    def _answered(self, result: Any, request: Any, operation: Operation) -> Any:
        if isinstance(result, Streaming):
            begun = reply(request, b"", operation.status, operation.media_type)
            return begun if request.method == b"HEAD" else result.begin(request)
        if not isinstance(result, Answer):
            result = Answer(result)
        for name, value in result.headers.items():
            request.setHeader(name.lower(), value)
        if result.etag is not None:
            request.setHeader("etag", result.etag)
        if result.body is None:
            return reply(request, b"", 204)
        body = result.body if isinstance(result.body, bytes) else encoded(result.body)
        media_type = result.media_type or operation.media_type
        return reply(request, body, result.status or operation.status, media_type)

    def _failed(self, failure: Any, request: Any, operations: Operations) -> Any:
        if failure.check(CancelledError):
            return failure  # the client has left
        problem = problem_of(failure.value, operations.refusals)
        if problem is None:
            self._log.failure(
                "the API failed on {method} {path}",
                failure,
                method=request.method.decode("ascii"),
                path=request.path[:200],
            )
            problem = Problem(500, "the server failed: see its log")
        return refuse(request, problem)

    def _show_metrics(self, request: Any) -> bytes:
        """Answer `GET /metrics`, in the text format of Prometheus, version 0.0.4."""
        if request.path != _METRICS:
            return self._no_route(request, Failure(NotFound()))
        try:
            self._identification.authorize(request, Role.VIEWER)
        except Problem as problem:
            return refuse(request, problem)
        return reply(request, self._metrics.text(), 200, self._metrics.content_type)

    def _no_route(self, request: Any, failure: Any) -> bytes:
        """Answer what has no route: 404 or 405. What is open to all is no secret."""
        path = request.path.decode("ascii", "replace")
        try:
            if path not in self._open and self._identification.identify(request) is None:
                raise unknown("log in, or show a token")
        except Problem as problem:
            return refuse(request, problem)
        error = failure.value
        headers = {}
        if isinstance(error, MethodNotAllowed):
            # Of `/things/counts`, not of `/things/{id}`, which it might be as well.
            methods = self._methods.get(path) or error.valid_methods or ()
            headers["Allow"] = ", ".join(sorted(methods))
        return refuse(request, Problem(error.code or 404, error.name.lower(), headers=headers))


@implementer(IResource)
class Front:
    """Looks at each request before the routes do.

    Args:
        resource: A leaf.
    """

    isLeaf = True

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        raise AssertionError("a leaf has no children")

    def putChild(self, path: bytes, child: Any) -> None:
        raise AssertionError("a leaf has no children")

    def render(self, request: Any) -> bytes | int:
        """Refuse what names no host, or several (RFC 9112 3.2), or pass on.

        Klein and werkzeug would log tracebacks for what is refused here.
        """
        _make_text(request.requestHeaders)
        # Set by `twisted.web` to its name and version, which are nobody's business.
        request.responseHeaders.removeHeader("server")
        hosts = request.requestHeaders.getRawHeaders("host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].strip()):
            return refuse(request, Problem(400, "expected one field Host, with a host"))
        if not _METHOD.fullmatch(request.method):
            return refuse(request, Problem(400, "the method is none"))
        try:
            b"/".join(request.postpath).decode("utf-8")
        except UnicodeDecodeError:
            return refuse(request, Problem(400, "the path is not UTF-8"))
        result: bytes | int = self._resource.render(request)
        return result


def _make_text(headers: Headers) -> None:
    """Have all fields be UTF-8: whoever reads one as text would fail on other bytes."""
    for name, values in tuple(headers.getAllRawHeaders()):
        if not all(map(bytes.isascii, values)):
            texts = [value.decode("utf-8", "replace") for value in values]
            headers.setRawHeaders(name, [text.encode("utf-8") for text in texts])


def _run(work: Callable[[Call], Any], call: Call) -> Deferred[Any]:
    return maybeDeferred(work, call)
