"""Tests of ntvmedia.admin.operations and ntvmedia.admin.api: what is declared is what is served."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, cast

import pytest
from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.accounts import Role
from ntvmedia.admin.api import API
from ntvmedia.admin.operations import Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.problems import Problem
from ntvmedia.errors import Refused
from tests.admin.web import JSON, ROOT, SOCKET, Client, Host, ask


class NoThing(Refused):
    """There is none."""


class Thing(Struct):
    """Something."""

    name: str


class Things(Operations):
    """Things."""

    tag = "things"
    refusals: ClassVar = {NoThing: 404}

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.waiting: list[Deferred[Thing]] = []
        host.things = self

    @operation("GET", "/things/{name}", role=Role.VIEWER, answers=Thing)
    def thing(self, call: Call) -> Any:
        """Show a thing.

        More about it.
        """
        name = call.path["name"]
        if name == "none":
            raise NoThing("there is no such thing")
        if name == "later":
            return succeed(Thing("later"))
        if name == "bug":
            raise ZeroDivisionError("sEcReT")
        return Thing(name)

    @operation("GET", "/things/{name}/picture", role=Role.VIEWER, media_type="image/png")
    async def picture(self, call: Call) -> Answer:
        """Show a picture."""
        if call.path["name"] == "svg":
            return Answer(b"<svg/>", media_type="image/svg+xml", headers={"X-More": "1"})
        return Answer(b"\x89PNG", etag='"1"')

    @operation("PUT", "/things/{name}", role=Role.OPERATOR, body=Thing, answers=Thing)
    def put(self, call: Call) -> Deferred[Thing]:
        """Change a thing."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    @operation("POST", "/things/{name}/do", role=Role.OPERATOR, errors=(409,))
    async def act(self, call: Call) -> None:
        """Do something."""
        if call.path["name"] == "busy":
            raise Problem(409, "busy")


class OperationTests(SynchronousTestCase):
    """What a class declares, served."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host: Any = Host(Path(folder.name))
        self.resource = API(self.host, [Things], is_control=True).resource()

    def ask(self, method: bytes, path: bytes, body: bytes | None = None) -> Any:
        """Ask for something."""
        fields = (JSON,) if body is not None else ()
        return ask(self.resource, self.host.reactor, method, ROOT + path, body, *fields)

    def test_declared(self) -> None:
        """The docstring is the summary and the description; no body is 204."""
        found = {x.name: x for x in Things.declared()}
        self.assertEqual(list(found), ["thing", "picture", "put", "act"])
        self.assertEqual(found["thing"].summary, "Show a thing")
        self.assertEqual(found["thing"].description, "More about it.")
        self.assertEqual([x.status for x in found.values()], [200, 200, 200, 204])

    def test_answers(self) -> None:
        """A value, a Deferred, bytes with a type, nothing."""
        self.assertEqual(self.ask(b"GET", b"/things/a%20b").json(), {"name": "a b"})
        self.assertEqual(self.ask(b"GET", b"/things/later").json(), {"name": "later"})
        png = self.ask(b"GET", b"/things/x/picture")
        self.assertEqual((png.body, png.fields[b"content-type"]), (b"\x89PNG", b"image/png"))
        self.assertEqual(png.fields[b"etag"], b'"1"')
        svg = self.ask(b"GET", b"/things/svg/picture")
        self.assertEqual(svg.fields[b"content-type"], b"image/svg+xml")
        self.assertEqual(svg.fields[b"x-more"], b"1")
        done = self.ask(b"POST", b"/things/x/do")
        self.assertEqual((done.status, done.body), (204, b""))
        self.assertNotIn(b"content-type", done.fields)

    def test_refusals(self) -> None:
        """What is raised has its status; what is no refusal is a bug, told to the log alone."""
        self.assertEqual(self.ask(b"GET", b"/things/none").problem()["title"], "No thing")
        self.assertEqual(self.ask(b"POST", b"/things/busy/do").status, 409)
        found = self.ask(b"GET", b"/things/bug")
        self.assertEqual((found.status, found.problem()["status"]), (500, 500))
        self.assertNotIn(b"sEcReT", found.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_turns(self) -> None:
        """Changes follow one another, in the order in which they came."""
        clients = []
        for _number in range(3):
            client = Client(self.resource, self.host.reactor, SOCKET)
            client.send(b"PUT", ROOT + b"/things/x", b'{"name": "x"}', JSON)
            clients.append(client)
        waiting = self.host.things.waiting
        for number in range(3):
            self.assertEqual(len(waiting), number + 1)
            waiting[number].callback(Thing(str(number)))
        names = [client.answer().json()["name"] for client in clients]
        self.assertEqual(names, ["0", "1", "2"])

    def test_client_hangs_up(self) -> None:
        """What it asked for goes on to its end, and the next one waits for that."""
        client = Client(self.resource, self.host.reactor, SOCKET)
        client.send(b"PUT", ROOT + b"/things/x", b'{"name": "x"}', JSON)
        client.protocol.connectionLost(Failure(ConnectionLost()))
        (first,) = self.host.things.waiting
        self.assertFalse(first.called)
        other = Client(self.resource, self.host.reactor, SOCKET)
        other.send(b"PUT", ROOT + b"/things/x", b'{"name": "x"}', JSON)
        self.assertEqual(len(self.host.things.waiting), 1)
        first.callback(Thing("a"))
        self.host.things.waiting[1].callback(Thing("b"))
        self.assertEqual(other.answer().json(), {"name": "b"})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_failed_turn(self) -> None:
        """One that fails lets the next one in."""
        for problem, status in ((NoThing("x"), 404), (Problem(409, "x"), 409)):
            client = Client(self.resource, self.host.reactor, SOCKET)
            client.send(b"PUT", ROOT + b"/things/x", b'{"name": "x"}', JSON)
            self.host.things.waiting.pop().errback(problem)
            self.assertEqual(client.answer().status, status)

    def test_note(self) -> None:
        """A change can be noted with who asked for it."""
        call = _call(self.host)
        notes: list[Any] = []
        call.note_change = lambda *arguments: notes.append(arguments)
        call.note("things.do", "x")
        self.assertEqual(notes, [(call.identity, "192.0.2.1", "things.do", "x")])


def _call(host: Any, if_match: str | None = None) -> Call:
    return Call(
        path={},
        query=None,
        body=None,
        identity=cast(Any, "somebody"),
        peer_host="192.0.2.1",
        if_match=if_match,
        request=None,
        note_change=lambda *_arguments: None,
    )


@pytest.mark.parametrize(
    ("sent", "is_good"),
    [
        (None, True),
        ("*", True),
        ("{tag}", True),
        ('"x", {tag}', True),
        ("W/{tag}", True),
        ('"x"', False),
        ("", False),
        ("x*", False),
    ],
)
def test_must_match(sent: str | None, is_good: bool) -> None:
    """RFC 9110 13.1.1: one of those named, or any."""
    call = _call(None, sent and sent.replace("{tag}", etag_of(Thing("a"))))
    if is_good:
        call.must_match(Thing("a"))
        return
    with pytest.raises(Problem) as caught:
        call.must_match(Thing("a"))
    assert caught.value.status == 412


def test_etag() -> None:
    """The same for the same, whatever the order; another for anything else."""
    assert etag_of({"a": 1, "b": 2}) == etag_of({"b": 2, "a": 1})
    assert etag_of(Thing("a")) == etag_of({"name": "a"})
    assert etag_of(Thing("a")) != etag_of(Thing("b"))
    assert etag_of(Thing("a")).startswith('"')
