"""Tests of ntvmedia.endpoints.rtmp.authentication: encoders with user and password."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import BUILT_IN, Access, Request, Verdict
from ntvmedia.media import StreamKey
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted, CredentialsRequested, Rejected
from tests.endpoints.rtmp.server import KEY, RANDOM, Peer, Server

# A host, and what it is trusted with.
TRUSTED = ("198.51.100.7", "publish")

NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "


class Spy:
    """Looks at each request, and has no opinion."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def decide(self, request: Request) -> Deferred[Verdict | None]:
        """Remember it."""
        self.asked.append(request)
        return succeed(None)


class AuthenticationTests(SynchronousTestCase):
    """Who publishes in `liveshow` is asked; nobody else is."""

    def setUp(self) -> None:
        self.server = Server()
        self.set(publish_password="geheim", rtmp_authentication=True)

    def set(self, **fields: Any) -> None:
        """Give the application other values."""
        changed = replace(BUILT_IN["liveshow"], **fields)
        self.server.applications = {**BUILT_IN, "liveshow": changed}
        self.spy = Spy()
        self.server.access = Access(self.server.applications)
        self.server.access.authorizers.append(self.spy)

    def connect(
        self,
        query: str = "",
        *,
        name: str = "test",
        app: str = "liveshow",
        host: str = "192.0.2.1",
        publishing: bool = True,
    ) -> Peer:
        """Connect, and ask for a stream."""
        session = ClientSession(
            RANDOM,
            publishing=publishing,
            app=app + query,
            name=name,
            tc_url=f"rtmp://host/{app}{query}",
        )
        return Peer(self.server, self.server.build(host), session)

    def refusal(self, peer: Peer) -> str:
        """Return why somebody was refused, who is hung up on."""
        (event,) = peer.events
        self.assertIsInstance(event, Rejected)
        self.assertEqual(event.code, "NetConnection.Connect.Rejected")
        self.assertTrue(peer.transport.disconnecting)
        return str(event.description)

    def answer(self, password: str, user: str = "ann") -> str:
        """Ask for a challenge, and answer it."""
        asked = self.refusal(self.connect(f"?authmod=adobe&user={user}"))
        start, _mark, said = asked.partition("?")
        self.assertEqual(start, "[ AccessManager.Reject ] : [ authmod=adobe ] : ")
        values = dict(part.split("=", 1) for part in said.split("&"))
        self.assertEqual(list(values), ["reason", "user", "salt", "challenge", "opaque"])
        self.assertEqual((values["reason"], values["user"]), ("needauth", user))
        inner = b64encode(hashlib.md5((user + values["salt"] + password).encode()).digest())
        joined = inner + (values["opaque"] + "CAFE/+==").encode()
        response = b64encode(hashlib.md5(joined).digest()).decode()
        return (
            f"?authmod=adobe&user={user}&challenge=CAFE/+==&response={response}"
            f"&opaque={values['opaque']}"
        )

    def accepted(self, peer: Peer) -> None:
        """Check that somebody was let in."""
        self.assertTrue(any(isinstance(event, Accepted) for event in peer.events), peer.events)

    def test_three_connections(self) -> None:
        """A-UR-10: asked for a user, then for an answer; with the right one it publishes."""
        self.assertEqual(self.refusal(self.connect()), NEED_AUTH)
        for user in ("ann", "bob"):
            peer = self.connect(self.answer("geheim", user), name=user)
            self.accepted(peer)
            self.assertIn(StreamKey("liveshow", user), self.server.hub.streams)

    def sign_in(self, user: str, password: str) -> list[Any]:
        """Connect as often as our own client is asked to; return its last events."""
        credentials = ""
        for _connection in range(3):
            session = ClientSession(
                RANDOM,
                publishing=True,
                app="liveshow",
                name="test",
                tc_url="rtmp://host/liveshow",
                user=user,
                password=password,
                credentials=credentials,
            )
            peer = Peer(self.server, self.server.build("192.0.2.1"), session)
            *_others, last = peer.events
            if not isinstance(last, CredentialsRequested):
                return list(peer.events)
            self.assertEqual(len(peer.events), 1)
            self.assertTrue(peer.transport.disconnecting)
            self.assertNotIn(last.credentials, repr(last))
            credentials = last.credentials
        raise AssertionError("asked without end")

    def test_our_own_client(self) -> None:
        """It answers what it is asked; whom it is nobody for gives up at the first question."""
        [refused] = self.sign_in("", "geheim")
        self.assertEqual(refused.description, NEED_AUTH)
        [refused] = self.sign_in("ann", "Geheim")
        self.assertEqual(refused.code, "NetStream.Publish.BadName")
        self.assertIsInstance(self.sign_in("änn & bob", "geheim")[-1], Accepted)

    def test_wrong_password(self) -> None:
        """A-UR-10: it is refused as a wrong one in the address is, when it publishes."""
        peer = self.connect(self.answer("wrong"))
        told = self.connect("?password=wrong")
        for refused in (peer, told):
            (event,) = refused.events
            self.assertEqual(event.code, "NetStream.Publish.BadName")
            self.assertEqual(event.description, "the publish password is missing or wrong")
            self.assertTrue(refused.transport.disconnecting)
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(self.server.access.refused["liveshow", "rtmp", "password"], 2)

    def test_nothing_after_a_refusal(self) -> None:
        """What comes behind a refused `connect` is not looked at, and nothing is begun."""
        peer = self.connect()
        peer.protocol.dataReceived(b"\xff" * 1000)
        self.assertEqual(self.server.hub.streams, {})
        self.assertEqual(self.spy.asked, [])

    def test_opaque(self) -> None:
        """An answer counts for a minute, and from the one host that was asked."""
        query = self.answer("geheim")
        failed = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed"
        self.assertEqual(self.refusal(self.connect(query, host="192.0.2.2")), failed)
        self.server.reactor.advance(61)
        self.assertIn("?reason=needauth&", self.refusal(self.connect(query)))
        self.server.reactor.advance(-2)
        self.accepted(self.connect(query))

    def test_password_in_the_address(self) -> None:
        """Who has it in the address of the application is not asked."""
        self.accepted(self.connect("?password=geheim"))

    def test_names(self) -> None:
        """A-UR-02, A-UR-06, A-UR-11: the application is found however it is spelled."""
        for number, app in enumerate(("/liveshow", "liveshow/", "%6civeshow", "liveshow?x=1")):
            self.assertEqual(self.refusal(self.connect(app=app)), NEED_AUTH, app)
            query = self.answer("geheim")
            self.accepted(self.connect(query, app=app, name=f"n{number}"))
        self.assertEqual(self.refusal(self.connect(app="liveshow/x", name="")), NEED_AUTH)
        self.accepted(self.connect(self.answer("geheim"), app="liveshow/x", name=""))
        self.assertIn(StreamKey("liveshow", "x"), self.server.hub.streams)

    def test_not_asked(self) -> None:
        """Only where it is wanted, and only who publishes."""
        self.accepted(self.connect(app="tv"))
        player = self.connect(publishing=False, name="later")
        self.assertEqual(player.events, [])
        self.assertFalse(player.transport.disconnecting)
        self.assertEqual(self.connect(app="nowhere").events[0].code, "NetStream.Publish.BadName")
        self.assertEqual(self.connect(app="").events[0].code, "NetStream.Publish.BadName")
        self.set(rtmp_authentication=True)
        self.accepted(self.connect())
        self.set(publish_password="geheim")
        told = self.connect(name="other")
        self.assertEqual(told.events[0].code, "NetStream.Publish.BadName")
        self.accepted(self.connect(name="other?password=geheim"))

    def test_changed_meanwhile(self) -> None:
        """What was answered counts by the password that holds when it publishes."""
        query = self.answer("geheim")
        self.set(publish_password="neu", rtmp_authentication=True)
        self.assertEqual(self.connect(query).events[0].code, "NetStream.Publish.BadName")

    def test_one_too_many(self) -> None:
        """G-RS-03: who may do nothing is told so, and asked for nothing."""
        protocol = type(self.server.build())(
            self.server.factory, None, refusal="too many connections"
        )
        session = ClientSession(
            RANDOM, publishing=True, app="liveshow", name="x", tc_url="rtmp://h/liveshow"
        )
        peer = Peer(self.server, protocol, session)
        self.assertEqual(peer.events[0].description, "too many connections")

    def test_trusted(self) -> None:
        """Trusted networks need no password, and are not asked for one."""
        self.patch(self.server.access, "trusts", lambda host, scope: (host, scope) == TRUSTED)
        peer = self.connect(host=TRUSTED[0])
        # The rules, of which there is none in truth, decide when it publishes.
        self.assertEqual(peer.events[0].code, "NetStream.Publish.BadName")
        self.assertEqual(self.refusal(self.connect()), NEED_AUTH)

    def test_secrets(self) -> None:
        """F-AC-03: neither log nor plugins see anything of an answer."""
        with capturedLogs() as events:
            for password in ("geheim", "wrong"):
                self.connect(self.answer(password) + "&x=1", name=f"test?y={password}")
        log = "\n".join(str(formatEvent(event)) for event in events)
        self.assertIn("has to bring user and password for liveshow", log)
        for secret in ("authmod", "ann", "response", "opaque", "CAFE", "geheim"):
            self.assertNotIn(secret, log)
        (request,) = self.spy.asked
        self.assertEqual(request.key, KEY)
        self.assertEqual(request.query, {"x": "1", "y": "geheim"})
        self.assertEqual(request.address, "rtmp://host")
        self.assertNotIn("proves", repr(request))
