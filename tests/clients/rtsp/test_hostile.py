"""Tests of a server that says anything: one clear error, and everything given back."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st
from twisted.internet.defer import CancelledError

from ntvmedia.clients.rtsp.options import Carrier, Options, RTSPError
from ntvmedia.wire.rtsp.messages import Request, Response
from tests.clients.rtsp.rig import PEER, ClientCase, Sink, response

HEADERS = (
    "Location",
    "Transport",
    "Session",
    "Public",
    "RTP-Info",
    "Range",
    "Content-Base",
    "WWW-Authenticate",
)
VALUES = st.one_of(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30),
    st.sampled_from(
        [
            "RTP/AVP;unicast;client_port=1-2",
            "RTP/AVP/TCP;interleaved=0-0",
            "RTP/AVP/TCP;interleaved=254-255",
            "RTP/AVP;unicast;client_port=49152-49153;server_port=1-65535;source=127.0.0.1",
            "rtsp://127.0.0.1/",
            "rtsp://192.0.2.9/",
            "a;timeout=0",
            'Digest nonce=""',
            'Basic realm="x"',
            "npt=-",
            "url=;seq=99999999",
        ]
    ),
)
ANSWERS = st.tuples(
    st.sampled_from([200, 200, 200, 100, 302, 401, 404, 454, 461, 551]),
    st.lists(st.tuples(st.sampled_from(HEADERS), VALUES), max_size=3),
    st.sampled_from(
        [b"", b"v=0\r\nm=audio 0 RTP/AVP 0 8\r\n", b"v=0\r\n" + b"m=video 0 X\r\n" * 9]
    ),
)
METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER")
DOSES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class HostileTests(ClientCase):
    """Servers that follow no rule."""

    def check(self, options: Options, talk: list[bytes]) -> None:
        """Play from a server that says these things, then what is to be said at the end."""
        self.sink = Sink()
        ending = self.client.play(f"rtsp://me:secret@{PEER}/x", self.sink, options)
        found: list[object] = []
        ending.addErrback(lambda failure: found.append(failure.value))
        remote = self.connected()
        for data in talk:
            if not remote.transport.disconnecting:
                remote.say(data)
        for port in self.reactor.ports:
            if port.open:
                port.receive(b"".join(talk)[:2000], (PEER, 6000))
                port.receive(b"\x80\x60", (PEER, 6000))
        self.pass_time(1.0, remote)
        ending.cancel()
        for error in found:
            self.assertIsInstance(error, RTSPError | CancelledError)
            self.assertNotIn("secret", str(error))
        self.assertEqual(self.reactor.open_ports, [])
        for each in self.remotes:
            if not each.lost:
                self.assertTrue(each.transport.disconnecting or each.transport.disconnected)
                each.lose()
        self.assertEqual(self.client.connections, 0)
        self.reactor.tcpClients.clear()

    @DOSES
    @given(st.dictionaries(st.sampled_from(METHODS), ANSWERS), st.sampled_from(list(Carrier)))
    def test_answers(
        self, answers: dict[str, tuple[int, list[tuple[str, str]], bytes]], carrier: Carrier
    ) -> None:
        """Whatever is answered: one error of ours or none, and nothing is left."""

        def answer(request: Request) -> Response:
            status, fields, body = answers[request.method]
            return response(status, *fields, body=body)

        self.answers = dict.fromkeys(answers, answer)
        self.check(Options(carrier=carrier), [])

    @DOSES
    @given(st.lists(st.binary(max_size=60), max_size=5), st.data())
    def test_bytes(self, junk: list[bytes], data: st.DataObject) -> None:
        """Whatever comes when media is expected, likewise; a frame cut short among it."""
        frames = b"$\0\0\x04abcd$\x02\0\0$\x63\0\x01x$\x01\0\x08" + bytes(8)
        place = data.draw(st.integers(0, len(frames)))
        self.answers = {}
        self.check(Options(carrier=Carrier.TCP), [frames[:place], *junk])
