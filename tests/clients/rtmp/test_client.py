"""Tests of where the client goes, and how often, and whom it tells its password."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from zope.interface.verify import verifyObject

from ntvmedia.clients.rtmp.source import RTMPSource
from ntvmedia.clients.rtmp.target import RTMPTarget
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource, ITarget
from ntvmedia.media.relaying import PullOptions, PushOptions
from ntvmedia.wire.rtmp.authmod import AUTH_FAILED, Verifier, parse_credentials
from ntvmedia.wire.rtmp.events import Connected
from tests.clients.rtmp.rig import AUDIO, PEER, URL, VIDEO, ClientCase, Remote, accept, frame
from tests.wire.rtmp.conversation import GREETING, command

OTHER = "192.0.2.8"


def redirection(to: str, *, whole: str = "") -> bytes:
    """What SRS answers to `connect`, or to a publication, that it sends elsewhere."""
    ex = {"code": 302.0, "redirect": to, **({"redirect2": whole} if whole else {})}
    info = {
        "level": "error",
        "code": "NetConnection.Connect.Rejected",
        "description": "RTMP 302 Redirect",
        "ex": ex,
    }
    return command("_error", 1.0, None, info)


class MovesTests(ClientCase):
    """Redirections, and requests to reconnect."""

    def hosts(self) -> list[tuple[str, int]]:
        """Return what was connected to."""
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def redirected(self, data: bytes) -> None:
        """Let a connection be made, and answer it by a redirection alone."""
        host, port, factory, *_rest = self.reactor.tcpClients[-1]
        protocol: Any = factory.buildProtocol(IPv4Address("TCP", host, port))
        remote = Remote(protocol, accept)
        self.remotes.append(remote)
        remote.takes = False
        protocol.dataReceived(GREETING + bytes(1536) + data)

    def test_redirect(self) -> None:
        """SRS sends the client on in its answer to connect; it goes, and asks for the same."""
        self.play()
        self.redirected(redirection(f"rtmp://{OTHER}:1936/new"))
        self.assertTrue(self.remotes[0].transport.disconnecting)
        remote = self.connected()
        self.assertEqual(self.hosts(), [(PEER, 1935), (OTHER, 1936)])
        self.assertEqual(remote.requests, [("new", "test?key=secret", f"rtmp://{OTHER}:1936/new")])

    def test_whole_address(self) -> None:
        """Newer SRS tells the stream's whole address too, and that is the one that counts."""
        self.play()
        self.redirected(redirection("rtmp://192.0.2.9/a", whole=f"rtmp://{OTHER}/b/test?c=d"))
        remote = self.connected()
        self.assertEqual(remote.requests, [("b", "test?c=d", f"rtmp://{OTHER}/b")])

    def test_as_status(self) -> None:
        """Forks of nginx-rtmp say it as a status, without calling it an error."""
        self.publish()
        ex = {"code": 302.0, "redirect": f"rtmp://{OTHER}/live"}
        info = {"level": "status", "code": "NetConnection.Connect.Rejected", "ex": ex}
        self.redirected(command("onStatus", 0.0, None, info))
        remote = self.connected()
        self.assertEqual(remote.requests, [("live", "test?key=secret", f"rtmp://{OTHER}/live")])
        self.assertEqual(len(self.feeds), 1)

    def test_loop(self) -> None:
        """Four times, and no more."""
        ending = self.play()
        for _time in range(5):
            self.redirected(redirection(f"rtmp://{PEER}/liveshow"))
        problem = self.problem(ending)
        self.assertEqual(str(problem), f"rtmp://{PEER}: it redirects more than 4 times")
        self.assertEqual(problem.status, 302)
        self.assertEqual(len(self.reactor.tcpClients), 5)

    def test_forbidden(self) -> None:
        """F-SS-03: each address is looked at where it is connected to."""
        for to in ("rtmp://127.0.0.1/x", "rtmps://169.254.169.254/x", "rtmp://[::1]:22/"):
            before = len(self.reactor.tcpClients)
            ending = self.play()
            self.redirected(redirection(to))
            problem = self.problem(ending)
            self.assertIn("which outbound.allow does not name", str(problem))
            self.assertTrue(problem.is_permanent)
            self.assertEqual(len(self.reactor.tcpClients), before + 1)

    def test_to_another_protocol(self) -> None:
        """Only to rtmp and rtmps."""
        for to in ("http://192.0.2.8/", "file:///etc/passwd", "gopher://x"):
            ending = self.play()
            self.redirected(redirection(to))
            problem = self.problem(ending)
            self.assertEqual((problem.status, problem.is_permanent), (302, True))
            self.assertNotIn("passwd", str(problem))
        self.assertEqual({host for host, _port in self.hosts()}, {PEER})

    def test_reconnect_request(self) -> None:
        """E-RTMP v2: a player goes where it is sent, and plays on."""
        ending = self.play()
        remote = self.connected()
        self.assertTrue(remote.session.request_reconnect(f"rtmp://{OTHER}/live", "moving"))
        remote.run()
        self.assertEqual(self.connected().requests[0][2], f"rtmp://{OTHER}/live")
        self.assertNoResult(ending)

    def test_publisher_moves(self) -> None:
        """E-RTMP v2, E-ST-10: a publisher gets a new feed, which begins anew; the old is void."""
        ending = self.publish()
        first = self.connected()
        feed = self.feeds[0]
        feed.track_received(VIDEO)
        feed.packet_received(frame(1000, is_keyframe=True))
        feed.batch_ended()
        first.run()
        first.session.request_reconnect("", "restarting")
        first.run()
        self.assertEqual(type(first.events[-1]).__name__, "Unpublished")
        second = self.connected()
        feed.packet_received(frame(1040))
        feed.batch_ended()
        again = self.feeds[1]
        again.track_received(VIDEO)
        again.packet_received(frame(2000, is_keyframe=True))
        again.batch_ended()
        second.run()
        self.assertEqual([packet.dts for packet in second.packets], [0])
        self.assertEqual(second.tracks, [VIDEO])
        self.assertNoResult(ending)

    def test_moves_that_lie_far_apart(self) -> None:
        """A server that asks for it now and then is followed for ever."""
        ending = self.play()
        for _time in range(12):
            remote = self.connected()
            self.pass_time(61.0, remote)
            remote.session.ping(0.0)
            remote.session.request_reconnect("", "again")
            remote.run()
            remote.lose()
        self.assertNoResult(ending)

    def test_moves_in_a_row(self) -> None:
        """One that asks for it each time is not."""
        ending = self.play()
        for _time in range(5):
            remote = self.connected()
            remote.session.request_reconnect("", "again")
            remote.run()
        self.assertIn("more than 4 times", str(self.problem(ending)))


class PasswordTests(ClientCase):
    """Servers that ask who publishes (`authmod=adobe`)."""

    ADDRESS = f"rtmp://ann:geheim@{PEER}/liveshow/test"

    def setUp(self) -> None:
        """Have a server that wants to know."""
        super().setUp()
        self.verifier = Verifier(b"0123456789abcdef", "192.0.2.1")
        self.proved: list[bool] = []

    def asks(self, connected: Connected) -> str:
        """Refuse a `connect` that lacks something."""
        found = parse_credentials(connected.app)
        refusal = self.verifier.refusal(found, 1000.0)
        if not refusal and found is not None:
            self.proved.append(self.verifier.proves(found, "geheim"))
        return refusal

    def test_password(self) -> None:
        """A-UR-10: two questions, each answered in a connection of its own; then it publishes."""
        ending = self.publish(self.ADDRESS)
        for _connection in range(3):
            remote = self.connected(refuse_connect=self.asks)
            self.assertNotIn(b"geheim", remote.taken)
        self.assertEqual(self.proved, [True])
        self.assertEqual(len(self.feeds), 1)
        self.assertNoResult(ending)
        self.assertEqual([x.transport.disconnecting for x in self.remotes], [True, True, False])

    def test_no_password(self) -> None:
        """E-ST-05: who has none is refused, for as long as that is so."""
        ending = self.publish()
        self.connected(refuse_connect=self.asks)
        problem = self.problem(ending)
        self.assertEqual((problem.status, problem.is_permanent), (401, True))

    def test_refused_password(self) -> None:
        """A server that says no to the answer is believed, and its question not repeated."""
        ending = self.publish(self.ADDRESS)
        for _connection in range(2):
            self.connected(refuse_connect=self.asks)
        self.connected(refuse_connect=lambda _connected: AUTH_FAILED)
        problem = self.problem(ending)
        self.assertTrue(problem.is_permanent)
        self.assertNotIn("ann", str(problem))
        self.assertEqual(len(self.reactor.tcpClients), 3)

    def test_told_to_nobody_else(self) -> None:
        """Another host, where the server redirects to, learns neither name nor password."""
        ending = self.publish(self.ADDRESS)
        remote = self.connected()
        remote.session.request_reconnect(f"rtmp://{OTHER}/liveshow", "go")
        remote.run()
        other = self.connected(refuse_connect=self.asks)
        self.assertNotIn(b"ann", other.taken)
        self.assertEqual(self.problem(ending).status, 401)


class PluginTests(ClientCase):
    """What the server finds."""

    def test_source(self) -> None:
        """It pulls by the client that the server has one of."""
        source: Any = RTMPSource()
        verifyObject(ISource, source)
        source.check(URL)
        self.assertRaises(RemoteError, source.check, "rtmp://h")
        self.kept(source.pull(self.host(), URL, PullOptions(), self.sink))
        self.assertEqual(self.connected().requests[0][1], "test?key=secret")

    def test_target(self) -> None:
        """It pushes by the same."""
        target = RTMPTarget()
        verifyObject(ITarget, target)
        target.check(URL)
        self.assertRaises(RemoteError, target.check, "http://h/a/b")
        tracks = (VIDEO, AUDIO)
        self.kept(target.push(self.host(), URL, tracks, {}, PushOptions(), self.feeds.append))
        self.connected()
        self.assertEqual(len(self.feeds), 1)

    def host(self) -> Any:
        """Return what has the client as its part."""
        case = self

        class Host:
            """A server; only what is asked of it here."""

            reactor = case.reactor
            connector = case.client._connector
            random = staticmethod(lambda count: bytes(count))
            server_id = "0" * 16

            def part(self, kind: Any) -> Any:
                """Return the one that ends with the test, made as all are."""
                assert type(kind(self)) is type(case.client)
                return case.client

        return Host()
