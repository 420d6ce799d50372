"""Tests of ntvmedia.clients.http.source and pulling: whole pulls, from servers on this machine."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from zope.interface.verify import verifyObject

from ntvmedia.avtools.process import RunningJob
from ntvmedia.clients.http import containers, pulling
from ntvmedia.clients.http.source import HTTPSource
from ntvmedia.errors import RemoteError
from ntvmedia.formats import amf0
from ntvmedia.formats.flv import TagType, file_header, tag
from ntvmedia.interfaces import ISource, ITranscodingSource
from ntvmedia.media.packets import Packet
from ntvmedia.media.relaying import PullOptions
from tests.clients.hls.test_source import numbers
from tests.clients.test_pacing import Sink
from tests.formats.hls_segments import ts
from tests.formats.ts_bytes import Wire
from tests.outbound.rig import OutboundCase, Peer, Server, ok, redirect

LIVE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n"
META = tag(TagType.SCRIPT, 0, amf0.encode("onMetaData", amf0.ECMAArray({"width": 1.0})))
CAPTION = tag(TagType.SCRIPT, 40, amf0.encode("onTextData", "hello"))
MP3 = b"\xff\xfb\x90\x00" + bytes(405)


def sound(milliseconds: int, number: int = 0) -> bytes:
    """Return a tag of MP3 with a number in it."""
    return tag(TagType.AUDIO, milliseconds, b"\x2f" + MP3 + b"%08d" % number)


def flv(first: int, count: int, *, start: int = 0) -> bytes:
    """Return FLV of sound, 25 frames a second, from a number on."""
    frames = b"".join(sound(start + n * 40, n) for n in range(first, first + count))
    return file_header(True, False) + META + frames


class FakeChild(RunningJob):
    """A child process that is none: it keeps what it is given.

    Attributes:
        written: All bytes.
        is_over: It was stopped.
    """

    def __init__(self) -> None:
        self.done = Deferred()
        self.written = b""
        self.is_over = False

    def write_data(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def stop(self) -> Deferred[None]:
        """End."""
        self.is_over = True
        return succeed(None)


class HTTPSourceTests(OutboundCase):
    """Pulls."""

    def setUp(self) -> None:
        super().setUp()
        self.sink: Any = Sink(self.reactor)
        self.patch(pulling, "RECONNECT_SECONDS", 0.05)

    def pull(
        self, url: str, stall_seconds: float = 5.0, memory: dict[str, Any] | None = None
    ) -> Deferred[None]:
        """Begin a pull."""
        host: Any = SimpleNamespace(
            reactor=self.reactor, outbound=self.outbound, server_id="0" * 16
        )
        options = PullOptions(stall_seconds=stall_seconds, hops=("a", "b"), memory=memory)
        return HTTPSource().pull(host, url, options, self.sink)

    def problem_of(self, url: str, **options: Any) -> tuple[str, int, bool]:
        """Pull in vain, and return why."""
        waiting = self.pull(url, **options)
        self._finish(waiting)
        error = self.failureResultOf(waiting, RemoteError).value
        self.assertNotIn("127.0.0.1", str(error))
        self.assertEqual(self.packets(), [])
        return str(error), error.status, error.is_permanent

    def packets(self) -> list[Packet]:
        """Return what came."""
        return [item for item in self.sink.items() if isinstance(item, Packet)]

    def has(self, count: int) -> bool:
        """Return whether so many packets came."""
        return len(self.packets()) >= count

    def sounds(self) -> list[int]:
        """Return which frames came."""
        return numbers(self.packets(), "audio")

    def notes(self) -> list[str]:
        """Return what was noted."""
        return [item for item in self.sink.items() if isinstance(item, str)]

    def cancel(self, waiting: Deferred[None]) -> None:
        """Leave, and see that nothing comes any more."""
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        count = len(self.sink.given)
        self.until(lambda: not any(server.peers for server in self._servers))
        self.spin(0.05)
        self.assertEqual(len(self.sink.given), count)

    def test_interface(self) -> None:
        """It is a source of both schemes, that transcodes."""
        source: Any = HTTPSource()
        verifyObject(ITranscodingSource, source)
        verifyObject(ISource, source)
        self.assertEqual((source.schemes, source.transcodes), (("http", "https"), True))

    def test_check(self) -> None:
        """An address is looked at before it is asked; what is wrong is told without it."""
        source = HTTPSource()
        source.check("https://me:secret@example.org:8443/live/a.flv?x=y")
        for url in ("http:///x", "http://a b/", "rtmp://secret/", "http://0x7f.1/secret"):
            error = self.assertRaises(RemoteError, source.check, url)
            self.assertTrue(error.is_permanent)
            self.assertNotIn("secret", str(error))

    def test_live_flv(self) -> None:
        """A live stream passes at once: tracks, what is said, sound and captions; hops are told."""
        peers: list[Peer] = []

        def begin(peer: Peer) -> None:
            peers.append(peer)
            peer.send(LIVE_HEAD + flv(0, 100) + CAPTION)

        server = self.serve(begin)
        waiting = self.pull(f"{server.url}/live/a.flv")
        self.until(lambda: len(self.packets()) == 101)
        self.assertIn("X-Ntv-Hops: a,b", server.requests[0])
        self.assertEqual(self.sounds(), list(range(100)))
        self.assertIn({"width": 1.0}, self.sink.items())
        peers[0].send(sound(4000, 100))
        self.until(lambda: len(self.packets()) == 102)
        self.assertGreater(self.sink.batches, 1)
        self.cancel(waiting)

    def test_passed(self) -> None:
        """E-ST-08: the way that the server says is told, if it is well-formed; here it ends."""
        head = LIVE_HEAD[:-2] + b"X-Ntv-Hops: %b\r\n\r\n"
        told = ("00000000000000a1", "00000000000000a2")
        passed: list[tuple[str, ...]] = []
        self.sink.passed = passed.append

        def begin(said: bytes, peer: Peer) -> None:
            peer.send(head % said + flv(0, 10))

        for said in (b"x" * 3000, ", ".join(told).encode()):
            server = self.serve(partial(begin, said))
            waiting = self.pull(server.url)
            count = len(self.packets())
            self.until(partial(self.has, count + 10))
            self.cancel(waiting)
        self.assertEqual(passed, [told])
        for loop in (b"%b" % (b"0" * 16), b",".join(b"%016x" % n for n in range(1, 6))):
            self.sink.given.clear()
            server = self.serve(head % loop + flv(0, 10))
            message, status, is_permanent = self.problem_of(server.url)
            self.assertIn("a loop", message)
            self.assertEqual((status, is_permanent), (508, True))

    def test_live_ts(self) -> None:
        """E-SR-05: MPEG-TS with garbage before it, in chunks, by its content and not its name."""
        data = bytes(range(1, 71)) * 50 + ts(0, 100)
        chunk = b"%x\r\n%b\r\n" % (len(data), data)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
        server = self.serve(head + chunk)
        waiting = self.pull(f"{server.url}/a.flv")
        self.until(lambda: len(numbers(self.packets())) >= 99)
        self.assertEqual(numbers(self.packets()), list(range(99)))
        self.cancel(waiting)

    def test_file(self) -> None:
        """A file is given on in its time, and ends well with its last frame."""
        server = self.serve(ok(flv(0, 40)))
        waiting = self.pull(server.url)
        self.until(self.packets)
        began = self.sink.given[0][0]
        self.assertLess(len(self.packets()), 30)
        self.wait(waiting)
        self.assertEqual(self.sounds(), list(range(40)))
        self.assertGreater(self.sink.given[-1][0] - began, 0.5)

    def test_back_pressure(self) -> None:
        """A file that is there at once is not read at once: its server waits."""
        frames = [flv(0, 1), *(sound(n * 40, n) for n in range(1, 100_000))]
        body = b"".join(frames)
        server = self.serve(ok(body))
        self.outbound = self.make_client()
        waiting = self.pull(server.url, stall_seconds=0.3)
        self.until(self.packets)
        self.spin(1.0)
        self.assertNoResult(waiting)
        self.assertLess(len(self.packets()), 60)
        # Of 43 MB most is still with its server, or on the way.
        [peer] = server.peers
        transport: Any = peer.transport
        left = len(transport.dataBuffer) + sum(map(len, transport._tempDataBuffer))
        self.assertGreater(left - transport.offset, len(body) // 2)
        self.cancel(waiting)

    def test_refusals(self) -> None:
        """E-SR-09, E-ST-05: what is no stream is told in a clause; only what lasts is permanent."""
        html = b"<!doctype html><title>Log in</title>"
        for answer, words, status, is_permanent in (
            (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "refuses it (401)", 401, True),
            (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "refuses it (403)", 403, True),
            (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", "does not have it", 404, True),
            (b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n", "answers 429", 429, False),
            (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answers 503", 503, False),
            (b"HTTP/1.1 508 Loop\r\nContent-Length: 0\r\n\r\n", "in a loop (508)", 508, True),
            (ok(html, b"Content-Type: video/x-flv"), "the answer is an HTML page", 0, True),
            (ok(flv(0, 9), b"Content-Encoding: gzip"), "compressed", 0, True),
            (ok(b""), "the answer is empty", 0, False),
            (ok(file_header(True, True)), "no media that could be passed on", 0, False),
            (redirect("/again"), "more than 5 redirects", 0, True),
        ):
            url = f"{self.serve(answer).url}/secret?secret"
            found = self.problem_of(url)
            self.assertIn(words, found[0])
            self.assertNotIn("secret", found[0])
            self.assertEqual(found[1:], (status, is_permanent))

    def test_broken(self) -> None:
        """What is broken from the beginning on is told, and nothing is asked for twice."""
        server = self.serve(ok(file_header(True, True) + b"\x09\xff\xff\xff" + bytes(100)))
        self.assertIn("what came is broken: a tag of", self.problem_of(server.url)[0])
        self.assertEqual(server.connections, 1)

    def test_forbidden(self) -> None:
        """F-SS-03: a redirect to where the policy forbids is not followed."""
        server = self.serve(redirect("http://169.254.169.254/latest"))
        error, _status, is_permanent = self.problem_of(server.url)
        self.assertTrue(is_permanent)
        self.assertNotIn("latest", error)

    def test_silence(self) -> None:
        """E-ST-01: a server that says nothing, or begins and is silent, is left."""
        self.assertIn("nothing came", self.problem_of(self.serve(None).url, stall_seconds=0.2)[0])
        server = self.serve(LIVE_HEAD + b"FLV")
        self.assertIn("nothing came", self.problem_of(server.url, stall_seconds=0.2)[0])

    def test_reconnect(self) -> None:
        """E-ST-07: a lost stream is asked for again; what comes again is left out, times rise."""
        server = self.serve(
            lambda peer: peer.send(LIVE_HEAD + flv(0, 50), close=True),
            lambda peer: peer.send(LIVE_HEAD + flv(20, 60), close=True),
            b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n",
        )
        waiting = self.pull(server.url)
        self._finish(waiting)
        self.assertEqual(self.failureResultOf(waiting, RemoteError).value.status, 404)
        self.assertEqual(self.sounds(), list(range(80)))
        times = [packet.dts for packet in self.packets()]
        self.assertEqual(times, sorted(times))
        self.assertIn("the answer ended; connecting again", self.notes())

    def again(self, memory: dict[str, Any], body: bytes, *, is_lost: bool = True) -> list[int]:
        """Pull another time, until the server is silent or hangs up; return which frames came."""
        before = len(self.packets())
        # Captions always pass: so it is known that all of it came.
        answer = LIVE_HEAD + body + CAPTION
        server = self.serve(lambda peer: peer.send(answer, close=not is_lost))
        waiting = self.pull(server.url, memory=memory)
        if is_lost:
            self.until(lambda: any(x.payload[-5:] == b"hello" for x in self.packets()[before:]))
            self.cancel(waiting)
        else:
            self.wait(waiting)
        return numbers(self.packets()[before:], "audio")

    def test_replay_after_loss(self) -> None:
        """E-ST-07: another pull of the task leaves out what the ones before gave on."""
        memory: dict[str, Any] = {}
        self.assertEqual(self.again(memory, flv(0, 50)), list(range(50)))
        self.assertEqual(self.again(memory, flv(20, 60)), list(range(50, 80)))
        self.assertEqual(self.again(memory, flv(10, 80)), list(range(80, 90)))
        # Another task, or address, has another past.
        self.assertEqual(self.again({}, flv(10, 80)), list(range(10, 90)))

    def test_nothing_but_replay(self) -> None:
        """A server that has nothing but what was there is played again, and not never again."""
        memory: dict[str, Any] = {}
        for expected in (list(range(50)), [], list(range(50)), []):
            self.assertEqual(self.again(memory, flv(0, 50)), expected)

    def test_again_after_end(self) -> None:
        """What came to its end may begin anew: the task that loops plays it again."""
        self.patch(pulling, "RECONNECTS", 0)
        memory: dict[str, Any] = {}
        for _time in range(2):
            self.assertEqual(self.again(memory, flv(0, 50), is_lost=False), list(range(50)))

    def test_file_again(self) -> None:
        """A file that broke off is played from its beginning: nobody else shows that."""
        memory: dict[str, Any] = {}
        server = self.serve(lambda peer: peer.send(ok(flv(0, 20))[:-30], close=True))
        for _time in range(2):
            before = len(self.sounds())
            waiting = self.pull(server.url, memory=memory)
            self._finish(waiting)
            self.failureResultOf(waiting, RemoteError)
            self.assertEqual(self.sounds()[before : before + 5], list(range(5)))

    def test_reconnects_end(self) -> None:
        """A server that hangs up again and again is left to the patience of the task."""
        server = self.serve(lambda peer: peer.send(LIVE_HEAD + flv(0, 50), close=True))
        self.wait(self.pull(server.url))
        self.assertEqual(server.connections, 1 + pulling.RECONNECTS)
        self.assertEqual(self.sounds(), list(range(50)))

    def test_cut_off(self) -> None:
        """A file that breaks off is not begun anew: the task is told."""

        def begin(peer: Peer) -> None:
            peer.send(ok(flv(0, 50))[:-30], close=True)

        server = self.serve(begin)
        waiting = self.pull(server.url)
        self._finish(waiting)
        error = self.failureResultOf(waiting, RemoteError).value
        self.assertIn("closed before the answer was complete", str(error))
        self.assertEqual(server.connections, 1)

    def test_playlist(self) -> None:
        """A playlist is followed, where redirects led, with what was typed before the host."""
        said = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n"

        def answer(peer: Peer) -> None:
            request = server.requests[-1]
            data = ts(0, 25) if request.startswith("GET /there/0.ts") else said.encode()
            is_first = request.startswith("GET /a ")
            peer.send(redirect("/there/list") if is_first else ok(data))

        server: Server = self.serve(answer)
        self.wait(self.pull(f"{server.url.replace('//', '//me:pw@')}/a"))
        self.assertEqual(numbers(self.packets()), list(range(25)))
        for request in server.requests:
            self.assertIn("Authorization: Basic", request)
            self.assertIn("X-Ntv-Hops: a,b", request)

    def test_index_at_its_end(self) -> None:
        """E-ST-05: MP4 that cannot be played while it comes is not loaded to its end."""
        head = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08free" + b"\x70\0\0\0mdat"
        length = b"HTTP/1.1 200 OK\r\nContent-Length: 1879048240\r\n\r\n"
        server = self.serve(length + head)
        clause = "its index is at its end: it can be played as a file, or converted with faststart"
        self.assertEqual(self.problem_of(server.url), (clause, 0, True))

    def test_index_late(self) -> None:
        """So where the head of the media comes later than what tells the format."""
        head = b"\0\0\0\x10ftypisom\0\0\2\0\0\0\0\x08free"
        peers: list[Peer] = []
        children: list[FakeChild] = []

        def begin(peer: Peer) -> None:
            peers.append(peer)
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + head)

        def run(*_values: object, **_named: object) -> FakeChild:
            children.append(FakeChild())
            return children[-1]

        self.patch(pulling, "run_job", run)
        waiting = self.pull(self.serve(begin).url)
        self.until(lambda: children)
        peers[0].send(b"\x70\0\0\0mdat")
        self.until(lambda: waiting.called)
        error = self.failureResultOf(waiting, RemoteError).value
        self.assertIn("its index is at its end", str(error))
        self.assertEqual((children[0].written, children[0].is_over), (head, True))

    def test_nothing_usable(self) -> None:
        """E-ST-05: MPEG-2 pictures are named, and that a codec has to be chosen for them."""
        self.patch(containers, "PATIENCE_BYTES", 5000)
        wire = Wire()
        wire.pat((1, 0x20))
        wire.pmt((0x02, 0x100, b""))
        for n in range(50):
            wire.pes(0x100, bytes(400), n * 3600, stream_id=0xE0, length=0)
        error, _status, is_permanent = self.problem_of(self.serve(ok(wire.data)).url)
        self.assertIn("MPEG-2 video cannot be passed on as it is: choose a codec", error)
        self.assertTrue(is_permanent)
        self.assertEqual(len(self.notes()), 1)

    def test_cancelled_early(self) -> None:
        """Who leaves before there is an answer, or while it connects again, leaves nothing."""
        server = self.serve(None)
        waiting = self.pull(server.url)
        self.until(lambda: server.requests)
        self.cancel(waiting)
        self.patch(pulling, "RECONNECT_SECONDS", 60.0)
        server = self.serve(lambda peer: peer.send(LIVE_HEAD + flv(0, 5), close=True))
        waiting = self.pull(server.url)
        self.until(lambda: any("again" in note for note in self.notes()))
        self.cancel(waiting)
