"""Tests of ntvmedia.endpoints.http.ts: HTTP-TS and WebSocket-TS, in a server in memory."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from ntvmedia.endpoints.http.ts import TSRoute
from ntvmedia.interfaces import IMediaRoute
from tests.endpoints.http.live_rig import Case, dechunked
from tests.endpoints.http.rig import body_of_answer, request, status_of
from tests.endpoints.http.test_websocket import FIELDS, media

PACKET_BYTES = 188


class TSTests(Case):
    """Playing."""

    def check(self, data: bytes) -> None:
        """Check that data are whole TS packets, of which the first has the PAT."""
        self.assertTrue(data)
        self.assertEqual(len(data) % PACKET_BYTES, 0)
        self.assertEqual(set(data[::PACKET_BYTES]), {0x47})
        self.assertEqual(int.from_bytes(data[1:3], "big") & 0x1FFF, 0)

    def test_interface(self) -> None:
        """The plugin keeps its promises."""
        verifyObject(IMediaRoute, TSRoute())

    def test_chunked(self) -> None:
        """B-HT-01: over HTTP/1.1 in chunks; PAT first, whole packets, one last chunk."""
        publication = self.publish()
        answer = self.client.get(b"/liveshow/test.ts")
        self.assertEqual(status_of(answer), 200)
        for field in (
            b"\r\nContent-Type: video/mp2t\r\n",
            b"\r\nTransfer-Encoding: chunked\r\n",
            b"\r\nAccess-Control-Allow-Origin: *\r\n",
            b"\r\nX-Accel-Buffering: no\r\n",
        ):
            self.assertIn(field, answer)
        self.feed(publication)
        publication.close("publisher stopped", lost=False)
        content, ended = dechunked(body_of_answer(answer) + self.client.received())
        self.check(content)
        self.assertTrue(ended)
        self.assertEqual(self.plays, ["ts", "publisher stopped"])

    def test_plain(self) -> None:
        """B-HT-01: over HTTP/1.0 the end of the connection is the end of the answer."""
        publication = self.publish()
        answer = self.client.send(b"GET /liveshow/test.ts HTTP/1.0\r\n\r\n")
        self.feed(publication)
        self.check(body_of_answer(answer) + self.client.received())

    def test_websocket(self) -> None:
        """B-WS-01: the same bytes in binary messages, for mpegts.js."""
        publication = self.publish()
        data = self.client.send(request(b"GET", b"/liveshow/test.ts", *FIELDS))
        self.feed(publication)
        self.check(media(body_of_answer(data) + self.client.received()))
        self.assertEqual(self.plays, ["ws-ts"])
