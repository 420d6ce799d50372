"""Tests of where the client goes, whom it tells its password, and whom it believes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError as Refusal
from twisted.python.failure import Failure

from ntvmedia.clients.rtsp.options import Carrier, Options
from ntvmedia.wire.rtsp.messages import Request, Response
from tests.clients.rtsp.rig import PEER, URL, ClientCase, response

TCP = Options(carrier=Carrier.TCP)
CHALLENGE = ("WWW-Authenticate", 'Digest realm="camera", nonce="abc"')
OTHER = "192.0.2.8"


def elsewhere(*urls: str) -> dict[str, object]:
    """Return answers that send the client on, each time to the next of some addresses."""
    left = iter(urls)

    def describe(_request: Request) -> Response:
        return response(302, ("Location", next(left)))

    return {"DESCRIBE": describe}


class ClientTests(ClientCase):
    """The client, and servers in memory."""

    def hosts(self) -> list[tuple[str, int]]:
        """Return what was connected to."""
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def redirected(self, *urls: str, first: str = URL) -> None:
        """Play what leads to one address after the other."""
        self.answers.update(elsewhere(*urls))  # type: ignore[arg-type]
        self.ending = self.play(TCP, first)
        for _url in urls:
            if len(self.remotes) == len(self.reactor.tcpClients):
                return
            self.connected()

    def test_redirect(self) -> None:
        """D-RQ-15: the client goes where the server sends it, and plays there."""
        self.redirected(f"rtsp://{OTHER}:8554/new")
        self.assertEqual(self.hosts(), [(PEER, 554), (OTHER, 8554)])
        self.assertTrue(self.remotes[0].transport.disconnecting)
        self.answers.clear()
        remote = self.connected()
        self.assertEqual(remote.methods[-1], "PLAY")
        self.assertEqual(remote.requests[1].url, f"rtsp://{OTHER}:8554/new")

    def test_redirect_forbidden(self) -> None:
        """D-RQ-15, F-SS-03: each address is looked at where it is connected to."""
        for url in (
            "rtsp://127.0.0.1/x",
            "rtsp://169.254.169.254/latest",
            "rtsp://[::1]:22/",
            "rtsp://10.0.0.1/",
            "rtsp://[::ffff:127.0.0.1]/",
        ):
            before = len(self.reactor.tcpClients)
            self.redirected(url)
            problem = self.problem(self.ending)
            self.assertIn("which outbound.allow does not name", str(problem))
            self.assertTrue(problem.is_permanent)
            self.assertEqual(len(self.reactor.tcpClients), before + 1)

    def test_redirect_to_name(self) -> None:
        """F-SS-03: a name is as good as what it means when it is connected to."""
        names = self.reactor.names.known
        names["rebound.example"] = [[OTHER], ["127.0.0.1"]]
        self.redirected("rtsp://rebound.example/1", "rtsp://rebound.example/2")
        self.assertEqual(self.hosts(), [(PEER, 554), (OTHER, 554)])
        self.assertIn("127.0.0.1 is a loopback address", str(self.problem(self.ending)))

    def test_redirect_loop(self) -> None:
        """D-RQ-15: five times, and no more."""
        self.redirected(*[URL] * 6)
        self.assertIn("redirected more than 5 times", str(self.problem(self.ending)))
        self.assertEqual(len(self.reactor.tcpClients), 6)

    def test_redirect_to_another_protocol(self) -> None:
        """D-RQ-15: only to rtsp and rtsps."""
        for url in ("http://192.0.2.8/", "file:///etc/passwd", "rtspu://192.0.2.8/"):
            self.redirected(url)
            problem = self.problem(self.ending)
            self.assertEqual(problem.status, 302)
            self.assertTrue(problem.is_permanent)
        self.assertEqual({host for host, _port in self.hosts()}, {PEER})

    def test_password(self) -> None:
        """A password is told to the host that it is for, also on another of its paths."""

        def describe(request: Request) -> Response:
            if "authorization" not in request.headers:
                return response(401, CHALLENGE)
            places = {"/live/test": f"rtsp://{PEER}/new", "/new": f"rtsp://{OTHER}/new"}
            place = places[request.url.removeprefix(f"rtsp://{PEER}")]
            return response(301, ("Location", place))

        self.answers["DESCRIBE"] = describe
        for options, url in (
            (TCP, f"rtsp://me:secret@{PEER}/live/test"),
            (TCP._replace(user="me", password="secret"), URL),
        ):
            ending = self.play(options, url)
            for _time in range(3):
                remote = self.connected()
            problem = self.problem(ending)
            self.assertEqual(problem.status, 401)
            self.assertTrue(problem.is_permanent)
            self.assertTrue(str(problem).startswith(f"rtsp://{OTHER}: DESCRIBE refused: "))
            self.assertNotIn("secret", str(problem))
            self.assertEqual(remote.methods, ["OPTIONS", "DESCRIBE"])
            self.assertNotIn("authorization", remote.requests[1].headers)

    def test_wrong_password(self) -> None:
        """A password that is refused is not tried again and again."""
        self.answers["DESCRIBE"] = lambda _request: response(401, CHALLENGE)
        ending = self.play(TCP, f"rtsp://me:wrong@{PEER}/live/test")
        remote = self.connected()
        self.assertEqual(self.problem(ending).status, 401)
        self.assertEqual(remote.methods, ["OPTIONS", "DESCRIBE", "DESCRIBE"])

    def test_not_found(self) -> None:
        """E-ST-05: a stream that is not there is not asked for every few seconds."""
        self.answers["DESCRIBE"] = lambda _request: response(404)
        ending = self.play()
        self.connected()
        problem = self.problem(ending)
        self.assertEqual(str(problem), f"rtsp://{PEER}: DESCRIBE refused: Not Found (404)")
        self.assertTrue(problem.is_permanent)

    def test_addresses(self) -> None:
        """What is no address of RTSP is refused, and not shown."""
        for url in ("", "http://192.0.2.7/", "rtspu://192.0.2.7/secret", "rtsp://a b/secret"):
            problem = self.problem(self.client.play(url, self.sink))
            self.assertTrue(problem.is_permanent)
            self.assertNotIn("secret", str(problem))
        for url in ("rtsp://127.0.0.1/", "rtsp://0x7f000001/", "rtsps://a..b/"):
            problem = self.problem(self.client.play(url, self.sink))
            self.assertEqual(self.reactor.tcpClients, [])

    def test_no_connection(self) -> None:
        """A server that refuses connections is told as that."""
        ending = self.play()
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(Refusal()))
        self.assertEqual(str(self.problem(ending)), f"rtsp://{PEER}: the connection was refused")

    def test_name_without_answer(self) -> None:
        """E-SR-13: a name server that is silent costs the time that a connection may take."""
        self.reactor.names.known["silent.example"] = [None]
        ending = self.play(TCP, "rtsp://silent.example/x")
        self.pass_time(9.75)
        self.assertNoResult(ending)
        self.pass_time(0.5)
        self.assertEqual(
            str(self.problem(ending)), "rtsp://silent.example: no connection within 10 seconds"
        )

    def test_cancel_while_connecting(self) -> None:
        """E-SR-13: who cancels waits for no name and no connection."""
        self.reactor.names.known["silent.example"] = [None]
        for url in ("rtsp://silent.example/x", URL):
            ending = self.play(TCP, url)
            ending.cancel()
            self.failureResultOf(ending, CancelledError)
        self.assertEqual(self.client.connections, 0)

    def test_both_families(self) -> None:
        """E-SR-13: of several addresses the next is tried soon, and the first answer counts."""
        self.reactor.names.known["both.example"] = [["2001:4860::1", OTHER]]
        self.play(TCP, "rtsp://both.example/x")
        self.pass_time(1.0)
        self.assertEqual([host for host, _port in self.hosts()], ["2001:4860::1", OTHER])
        remote = self.connected(1)
        self.assertEqual(remote.methods[-1], "PLAY")

    def test_close(self) -> None:
        """A client that is closed ends all, and waits for its connections to be gone."""
        ending = self.play(TCP)
        remote = self.connected()
        closing = self.client.close()
        self.failureResultOf(ending, CancelledError)
        self.assertNoResult(closing)
        self.assertEqual(self.client.connections, 1)
        remote.lose()
        self.successResultOf(closing)
