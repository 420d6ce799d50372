"""Tests of ntvmedia.clients.hls.source: whole pulls, with servers and a clock of the tests' own."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.clients.hls import pieces
from ntvmedia.clients.hls.source import HLSPull
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.relaying import AudioOptions, OutputOptions, PullOptions, VideoOptions
from ntvmedia.outbound import OutboundError
from tests.clients.hls.fakes import Asked, LoaderCase, Reply
from tests.clients.hls.test_loader import locked
from tests.clients.test_pacing import Sink
from tests.formats.hls_segments import ts

ROOT = "https://example.org/live/"
LIST = f"{ROOT}index.m3u8"
TARGET = 2
PICTURES = 25 * TARGET
KEY = b"0123456789abcdef"

HEAD = f"#EXTM3U\n#EXT-X-TARGETDURATION:{TARGET}\n#EXT-X-MEDIA-SEQUENCE:%d\n"
END = "#EXT-X-ENDLIST\n"
_SEGMENT = re.compile(r".*/(?:s|v|a)(\d+)\.ts")


def listed(first: int, count: int, *, before: dict[int, str] | None = None, name: str = "s") -> str:
    """Return a list of segments; with lines before some of them."""
    lines = "".join(
        f"{(before or {}).get(n, '')}#EXTINF:{TARGET},\n{name}{n}.ts\n"
        for n in range(first, first + count)
    )
    return HEAD % first + lines


def segment(number: int, **options: Any) -> bytes:
    """Return the segment of a number."""
    return ts(number * PICTURES, PICTURES, **options)


def numbers(packets: list[Packet], kind: str = "video") -> list[int]:
    """Return which pictures, or frames of sound, came: their numbers are in them."""
    return [int(packet.payload[-8:]) for packet in packets if packet.track.kind == kind]


class HLSPullTests(LoaderCase):
    """Pulls."""

    def setUp(self) -> None:
        super().setUp()
        self.sink: Any = Sink(self.clock)
        # What a list says, and from when on.
        self.lists: dict[str, list[tuple[float, str | Reply]]] = {}
        self.segments: dict[str, Any] = {}
        get = self.outbound.get

        def answer(url: str, **options: Any) -> Any:
            self.outbound.replies[url] = [lambda asked: self.reply(url, asked)]
            return get(url, **options)

        self.outbound.get = answer  # type: ignore[method-assign]

    def reply(self, url: str, _asked: Asked) -> Any:
        """Answer as the test says; segments are there if nothing is said of them."""
        if url in self.lists:
            now = self.clock.seconds()
            said = [what for since, what in self.lists[url] if since <= now][-1]
            return said if isinstance(said, Reply) else Reply(said.encode())
        if url in self.segments:
            return self.segments[url]
        match = _SEGMENT.fullmatch(url)
        if match is None:
            return Reply(b"no", 404)
        number = int(match[1])
        return Reply(segment(number, video="/a" not in url, sound="/v" not in url))

    def pull(
        self,
        outputs: tuple[OutputOptions, ...] = (OutputOptions(),),
        url: str = LIST,
        fields: dict[str, str] | None = None,
        stall_seconds: float = 10.0,
        memory: dict[str, Any] | None = None,
    ) -> Deferred[None]:
        """Begin a pull."""
        host: Any = SimpleNamespace(reactor=self.clock, outbound=self.outbound)
        options = PullOptions(stall_seconds=stall_seconds, memory=memory)
        made = HLSPull(host, url, options, [(x, self.sink) for x in outputs], fields or {})
        self.made = made
        return Deferred.fromCoroutine(made.run())

    def run_for(self, seconds: float, then: Callable[[], object] = lambda: None) -> None:
        """Let time pass."""
        for _step in range(round(seconds / 0.02)):
            self.clock.advance(0.02)
            then()

    def packets(self) -> list[Packet]:
        """Return what came."""
        return [item for item in self.sink.items() if isinstance(item, Packet)]

    def notes(self) -> list[str]:
        """Return what was noted."""
        return [item for item in self.sink.items() if isinstance(item, str)]

    def live(self, seconds: int, count: int = 6, first: int = 0, url: str = LIST) -> None:
        """Have a list that slides, as a live one does."""
        self.lists[url] = [(n * TARGET, listed(first + n, count)) for n in range(seconds // TARGET)]

    def check_end(self, waiting: Deferred[None], words: str, *, permanent: bool) -> None:
        """It failed with that, and nothing is left."""
        error = self.failureResultOf(waiting, RemoteError).value
        self.assertIn(words, str(error))
        self.assertNotIn("example.org", str(error))
        self.assertEqual(error.is_permanent, permanent)
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """No timer, no request, and nothing is given any more."""
        self.assertEqual((self.clock.getDelayedCalls(), self.outbound.waiting), ([], []))

    def test_vod(self) -> None:
        """E-SR-08: from its beginning, never faster than life, a few segments ahead, to its end."""
        self.lists[LIST] = [(0, listed(0, 10) + END)]
        waiting = self.pull()
        asked: list[tuple[float, int]] = []

        def note() -> None:
            there = [int(m[1]) for url in self.outbound.urls() if (m := _SEGMENT.fullmatch(url))]
            asked.append((self.clock.seconds(), max(there, default=0)))

        self.run_for(10 * TARGET + 1, note)
        self.successResultOf(waiting)
        self.check_nothing_left()
        self.assertEqual(numbers(self.packets()), list(range(10 * PICTURES)))
        sounds = numbers(self.packets(), "audio")
        self.assertEqual(sounds, list(range(len(sounds))))
        for at, packet in self.sink.given:
            if isinstance(packet, Packet):
                self.assertGreaterEqual(at, packet.dts / packet.track.clock_rate - 1.1)
        for at, number in asked:
            self.assertLessEqual(number * TARGET, at + 5 * TARGET)
        self.assertEqual(self.outbound.urls().count(LIST), 1)
        self.assertLess(self.sink.given[-1][0], 10 * TARGET)

    def test_live(self) -> None:
        """It begins three target durations behind the end, and gives each segment once."""
        self.live(40)
        waiting = self.pull()
        self.run_for(30)
        self.assertNoResult(waiting)
        got = numbers(self.packets())
        self.assertEqual(got[0], 3 * PICTURES)
        self.assertEqual(got, list(range(got[0], got[-1] + 1)))
        self.assertLess(abs((got[-1] - got[0]) / 25 - 31), 1.0)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        count = len(self.sink.given)
        self.run_for(5)
        self.assertEqual(len(self.sink.given), count)
        self.check_nothing_left()

    def test_event(self) -> None:
        """So it does where a list keeps its beginning; it is live all the same."""
        self.lists[LIST] = [
            (0, listed(0, 50).replace("#EXTINF", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF", 1))
        ]
        waiting = self.pull()
        self.run_for(1)
        self.assertEqual(numbers(self.packets())[0], 47 * PICTURES)
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_ended(self) -> None:
        """A live list that ends is given to its end: it ended well."""
        self.lists[LIST] = [(0, listed(0, 6)), (2, listed(1, 6)), (4, listed(2, 6) + END)]
        waiting = self.pull()
        self.run_for(14)
        self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), list(range(3 * PICTURES, 8 * PICTURES)))
        self.check_nothing_left()

    def test_stands_still(self) -> None:
        """E-ST-02: a list that answers and has nothing new is a stall."""
        self.lists[LIST] = [(0, listed(0, 6))]
        waiting = self.pull()
        self.run_for(9.5)
        self.assertNoResult(waiting)
        self.run_for(3)
        self.check_end(waiting, "the playlist has nothing new for", permanent=False)

    def test_goes_on(self) -> None:
        """E-ST-07: what is loaded is given on before a pull fails; the next one goes on behind it.

        Nothing comes twice, and nothing is missing that the list still has.
        """
        self.live(40)
        slide = self.lists[LIST]
        self.lists[LIST] = [x for x in slide if x[0] <= 6] + [(7.0, Reply(b"", 404))]
        memory: dict[str, Any] = {}
        first = self.pull(memory=memory)
        while not first.called:
            self.run_for(0.1)
        self.check_end(first, "the playlist: the server does not have it (404)", permanent=True)
        # All that it knew of: three segments from the edge at first, and one every two seconds.
        end = numbers(self.packets())[-1] + 1
        self.assertEqual(end, 9 * PICTURES)
        self.lists[LIST] = slide
        second = self.pull(memory=memory)
        self.run_for(10)
        got = numbers(self.packets())
        self.assertEqual(got, list(range(3 * PICTURES, got[-1] + 1)))
        self.assertGreater(got[-1], end + 2 * PICTURES)
        second.cancel()
        self.failureResultOf(second, CancelledError)

    def test_goes_on_at_the_edge(self) -> None:
        """After a longer loss it is as far behind as at first, and not as the loss was long."""
        self.live(120, count=30)
        memory: dict[str, Any] = {}
        for _pull in range(2):
            waiting = self.pull(memory=memory)
            self.run_for(5)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.run_for(25.5)
        begins = next(b for a, b in pairwise(numbers(self.packets())) if b != a + 1)
        # After 30 s the list ends with segment 44.
        self.assertEqual(begins, 42 * PICTURES)

    def test_begun_anew(self) -> None:
        """A server that has begun anew has nothing of what was there: all is as at first."""
        self.live(40, first=50)
        memory: dict[str, Any] = {}
        waiting = self.pull(memory=memory)
        self.run_for(5)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.lists[LIST] = [(0, listed(0, 6))]
        count = len(self.packets())
        waiting = self.pull(memory=memory)
        self.run_for(1)
        self.assertEqual(numbers(self.packets()[count:])[0], 3 * PICTURES)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_is_over(self) -> None:
        """A live stream that is over is not played from its beginning by the next pull."""
        self.lists[LIST] = [(0, listed(0, 6)), (2, listed(0, 8) + END)]
        memory: dict[str, Any] = {}
        for _pull in range(3):
            waiting = self.pull(memory=memory)
            self.run_for(14)
            self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), list(range(3 * PICTURES, 8 * PICTURES)))

    def test_film_again(self) -> None:
        """A film is, as often as it is asked for."""
        self.lists[LIST] = [(0, listed(0, 2) + END)]
        memory: dict[str, Any] = {}
        for _pull in range(2):
            waiting = self.pull(memory=memory)
            self.run_for(6)
            self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), [*range(2 * PICTURES), *range(2 * PICTURES)])

    def test_film_again_after_a_failure(self) -> None:
        """So it is where a pull failed in the middle: the next one plays the rest, and then all."""
        self.lists[LIST] = [(0, listed(0, 6) + END)]
        self.segments |= {f"{ROOT}s{n}.ts": Reply(b"", 403) for n in range(3, 6)}
        memory: dict[str, Any] = {}
        waiting = self.pull(memory=memory)
        self.run_for(12)
        self.check_end(waiting, "the server refuses it (403)", permanent=True)
        self.segments.clear()
        for _pull in range(2):
            waiting = self.pull(memory=memory)
            self.run_for(13)
            self.successResultOf(waiting)
        film = list(range(6 * PICTURES))
        self.assertEqual(numbers(self.packets()), [*film, *film])

    def test_film_again_after_a_failure_at_its_end(self) -> None:
        """And where there was nothing left of it."""
        self.lists[LIST] = [(0, listed(0, 3) + END)]
        memory: dict[str, Any] = {}
        waiting = self.pull(memory=memory)
        while not self.packets() or numbers(self.packets())[-1] < 2 * PICTURES + 1:
            self.run_for(0.1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        waiting = self.pull(memory=memory)
        self.successResultOf(waiting)
        count = len(self.packets())
        waiting = self.pull(memory=memory)
        self.run_for(8)
        self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()[count:]), list(range(3 * PICTURES)))

    def test_film_after_a_live_stream(self) -> None:
        """What takes the place of a live stream is a film like any other."""
        self.live(40, first=50)
        memory: dict[str, Any] = {}
        waiting = self.pull(memory=memory)
        self.run_for(5)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.lists[LIST] = [(0, listed(0, 2) + END)]
        count = len(self.packets())
        for _pull in range(2):
            waiting = self.pull(memory=memory)
            self.run_for(6)
            self.successResultOf(waiting)
        film = list(range(2 * PICTURES))
        self.assertEqual(numbers(self.packets()[count:]), [*film, *film])

    def test_gap(self) -> None:
        """E-SR-08: what is a gap, or cannot be had, is missing; what follows comes in its time."""
        self.lists[LIST] = [(0, listed(0, 6, before={1: "#EXT-X-GAP\n"}) + END)]
        self.segments[f"{ROOT}s3.ts"] = Reply(b"", 404)
        waiting = self.pull()
        self.run_for(13)
        self.successResultOf(waiting)
        expected = [n for n in range(6 * PICTURES) if n // PICTURES not in (1, 3)]
        self.assertEqual(numbers(self.packets()), expected)
        times = [packet.dts for packet in self.packets() if packet.track.kind == "video"]
        self.assertEqual((times[-1] - times[0]) // 3600, 6 * PICTURES - 1)
        self.assertIn("segment 3: the server does not have it (404); it is left out", self.notes())
        self.assertNotIn(f"{ROOT}s1.ts", self.outbound.urls())

    def test_discontinuity(self) -> None:
        """A clock that begins anew goes on where the stream is."""
        self.lists[LIST] = [(0, listed(0, 4, before={2: "#EXT-X-DISCONTINUITY\n"}) + END)]
        for number in (2, 3):
            data = segment(number, start=5000 * 90000)
            self.segments[f"{ROOT}s{number}.ts"] = Reply(data)
        waiting = self.pull()
        self.run_for(9)
        self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), list(range(4 * PICTURES)))
        times = [packet.dts for packet in self.packets() if packet.track.kind == "video"]
        self.assertEqual({b - a for a, b in pairwise(times)}, {3600})

    def test_encrypted(self) -> None:
        """AES-128, with a key for each segment; each key is asked for once."""
        keys = {n: f'#EXT-X-KEY:METHOD=AES-128,URI="k{n // 2}"\n' for n in range(6)}
        self.lists[LIST] = [(0, listed(0, 6, before=keys) + END)]
        for n in range(6):
            data = locked(segment(n), KEY, n.to_bytes(16, "big"))
            self.segments[f"{ROOT}s{n}.ts"] = Reply(data)
            self.segments[f"{ROOT}k{n // 2}"] = Reply(KEY)
        waiting = self.pull()
        self.run_for(13)
        self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), list(range(6 * PICTURES)))
        self.assertEqual(sum("/k" in url for url in self.outbound.urls()), 3)

    def test_unsupported(self) -> None:
        """E-ST-05: encryption of samples, DRM, pages and refusals last."""
        sample = {0: '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n'}
        for said, words in (
            (listed(0, 3, before=sample) + END, "SAMPLE-AES"),
            (listed(0, 3).replace("s1.ts", "file:///etc/passwd") + END, "neither http"),
            (Reply(b"", 403), "the playlist: the server refuses it (403)"),
            (Reply(b"", 404), "the playlist: the server does not have it (404)"),
        ):
            self.lists[LIST] = [(0, said)]
            self.check_end(self.pull(), words, permanent=True)

    def test_segments_refused(self) -> None:
        """A stream whose segments nobody may have is refused; others are given some tries."""
        self.lists[LIST] = [(0, listed(0, 9) + END)]
        self.segments[f"{ROOT}s0.ts"] = Reply(b"", 403)
        waiting = self.pull()
        self.run_for(0.1)
        self.check_end(waiting, "segment 0: the server refuses it (403)", permanent=True)
        for number in range(9):
            self.segments[f"{ROOT}s{number}.ts"] = Reply(b"<html>")
        waiting = self.pull()
        self.run_for(1)
        self.check_end(waiting, "segment 4: the segment is neither", permanent=False)

    def test_multivariant(self) -> None:
        """The best variant that can be read, and the sound beside it, on one timeline."""
        sound = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="x",DEFAULT=YES,URI="a.m3u8"\n'
        variants = "".join(
            f'#EXT-X-STREAM-INF:BANDWIDTH={rate},CODECS="{codecs}",AUDIO="g"\n{uri}\n'
            for rate, codecs, uri in (
                (1000, "avc1.4d401f,mp4a.40.2", "low.m3u8"),
                (2000, "avc1.4d401f,mp4a.40.2", "best.m3u8"),
                (9000, "dvh1.05.01,mp4a.40.2", "unknown.m3u8"),
            )
        )
        self.lists[LIST] = [(0, f"#EXTM3U\n{sound}{variants}")]
        self.lists[f"{ROOT}best.m3u8"] = [(0, listed(0, 6) + END)]
        self.lists[f"{ROOT}a.m3u8"] = [(0, listed(0, 6, name="a") + END)]
        waiting = self.pull()
        self.run_for(13)
        self.successResultOf(waiting)
        packets = self.packets()
        self.assertEqual(numbers(packets), list(range(6 * PICTURES)))
        sounds = numbers(packets, "audio")
        # The variant has the same sound in it, which is left out: none comes twice.
        self.assertEqual(sounds, list(range(len(sounds))))
        at = {"video": 0.0, "audio": 0.0}
        for packet in packets:
            at[packet.track.kind] = packet.dts / packet.track.clock_rate
            self.assertLess(abs(at["video"] - at["audio"]), 0.2)
        self.assertNotIn(f"{ROOT}unknown.m3u8", self.outbound.urls())

    def test_live_renditions_begin_together(self) -> None:
        """A list of sound that is ahead, or behind, is begun with the segment of the pictures."""
        sound = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="x",DEFAULT=YES,URI="a.m3u8"\n'
        self.lists[LIST] = [
            (0, f'#EXTM3U\n{sound}#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="g"\nv.m3u8\n')
        ]
        self.lists[f"{ROOT}v.m3u8"] = [(0, listed(3, 6, name="v"))]
        self.lists[f"{ROOT}a.m3u8"] = [(0, listed(3, 8, name="a"))]
        waiting = self.pull()
        self.run_for(1)
        packets = self.packets()
        self.assertEqual(numbers(packets)[0], 6 * PICTURES)
        self.assertEqual(numbers(packets, "audio")[0], 6 * PICTURES * 3600 // 1920 + 1)
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_no_codec(self) -> None:
        """E-ST-05: where no variant can be read, that is told, and which codecs they have."""
        self.lists[LIST] = [(0, '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="dvh1.05"\nx\n')]
        self.check_end(self.pull(), "codecs that are not known: dvh1.05", permanent=True)

    def test_channels(self) -> None:
        """E-ST-05: a list of channels is no stream: that is told at once, and lasts."""
        names = '#EXTINF:-1 tvg-id="a" group-title="News",One\nhttp://example.org/1.m3u8\n'
        self.lists[LIST] = [(0, f'#EXTM3U x-tvg-url="x"\n{names}#EXTINF:-1,Two\nrtmp://x/y\n')]
        words = "the playlist: it is a list of channels, not a stream: take the address of one"
        self.check_end(self.pull(), words, permanent=True)
        self.assertEqual(self.outbound.urls(), [LIST])

    def test_no_segments_yet(self) -> None:
        """A list that is made before its first segment may have one in a moment."""
        self.lists[LIST] = [(0, "#EXTM3U\n")]
        self.check_end(self.pull(), "lists neither segments nor variants", permanent=False)

    def test_forbidden_network(self) -> None:
        """E-ST-05: what the network policy forbids, it forbids again."""
        self.lists[LIST] = [(0, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n")]
        forbidden = OutboundError("https://example.org: is a private address", is_permanent=True)
        self.segments[f"{ROOT}v.m3u8"] = forbidden
        self.check_end(self.pull(), "is a private address", permanent=True)

    def test_variant_gone(self) -> None:
        """A variant that is gone is looked for again, and the stream goes on with another."""
        one = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n%s.m3u8\n"
        self.lists[LIST] = [(0, one % "old"), (7, one % "new")]
        self.live(60, url=f"{ROOT}old.m3u8")
        self.lists[f"{ROOT}new.m3u8"] = self.lists[f"{ROOT}old.m3u8"]
        self.lists[f"{ROOT}old.m3u8"] = [*self.lists[f"{ROOT}old.m3u8"][:4], (8, Reply(b"", 404))]
        waiting = self.pull()
        self.run_for(24)
        self.assertNoResult(waiting)
        got = numbers(self.packets())
        self.assertEqual(got, list(range(got[0], got[-1] + 1)))
        self.assertGreater(got[-1] - got[0], 24 * 25)
        self.assertTrue(any("looked for again" in note for note in self.notes()))
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_gone(self) -> None:
        """A list that is gone, and stays so, ends it; a server that fails is asked again."""
        self.live(60)
        self.lists[LIST] = [
            *self.lists[LIST][:3],
            (6, Reply(b"", 503)),
            (9, listed(4, 6)),
            (11, Reply(b"", 404)),
        ]
        waiting = self.pull()
        self.run_for(10.9)
        self.assertNoResult(waiting)
        self.run_for(3)
        self.check_end(waiting, "the playlist: the server does not have it (404)", permanent=True)

    def test_redirect(self) -> None:
        """E-SR-08: from then on it is asked for where a redirect led: its session is there."""
        there = "https://cdn.example.net/session7/index.m3u8"
        self.lists[LIST] = [(0, Reply(listed(0, 6).encode(), url=there))]
        self.lists[there] = [(n * TARGET, listed(n, 6)) for n in range(10)]
        waiting = self.pull()
        self.run_for(6)
        self.assertEqual(self.outbound.urls().count(LIST), 1)
        self.assertIn("https://cdn.example.net/session7/s3.ts", self.outbound.urls())
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_who_is_told_what(self) -> None:
        """E-SR-08, E-ST-08: hops go to all; the password to its own server; cookies in a jar."""
        body = listed(0, 3).replace("s2.ts", "https://other.example/s2.ts") + END
        url = LIST.replace("//", "//me:secret@")
        self.lists[url] = [(0, Reply(body.encode(), url=LIST))]
        waiting = self.pull(url=url, fields={"X-Ntv-Hops": "a,b"})
        self.run_for(8)
        self.successResultOf(waiting)
        for asked in self.outbound.asked:
            fields = asked.all_fields()
            self.assertEqual(fields["X-Ntv-Hops"], "a,b")
            self.assertEqual("Authorization" in fields, "other" not in asked.url)
            self.assertIs(asked.options["cookies"], self.outbound.asked[0].options["cookies"])
            self.assertEqual(asked.options["idle_seconds"], 10.0)
        self.assertEqual(len(self.outbound.asked), 4)

    def test_kinds_left_out(self) -> None:
        """Of two outputs one has the sound alone."""
        self.lists[LIST] = [(0, listed(0, 2) + END)]
        waiting = self.pull((OutputOptions(VideoOptions("none"), AudioOptions("copy")),))
        self.run_for(5)
        self.successResultOf(waiting)
        self.assertEqual(numbers(self.packets()), [])
        self.assertGreater(len(numbers(self.packets(), "audio")), 100)
        tracks = [item for item in self.sink.items() if isinstance(item, Track)]
        self.assertEqual([track.kind for track in tracks], ["audio"])

    def test_fast_clock(self) -> None:
        """A server whose clock is one percent fast is caught up with; nothing is left out."""
        self.lists[LIST] = [(n * TARGET / 1.01, listed(n, 6)) for n in range(150)]
        waiting = self.pull()
        self.run_for(280)
        self.assertNoResult(waiting)
        got = numbers(self.packets())
        self.assertEqual(got, list(range(got[0], got[-1] + 1)))
        last = 6 + int(280 / (TARGET / 1.01))
        behind = last * TARGET - got[-1] / 25
        self.assertLess(behind, 8 * TARGET)
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_network_error(self) -> None:
        """A server that cannot be reached is told without its address."""
        error = OutboundError("https://example.org: the connection was refused")
        self.lists[LIST] = [(0, "")]
        self.patch(self, "reply", lambda _url, _asked: error)
        waiting = self.pull()
        self.run_for(8)
        self.check_end(waiting, "the playlist: the connection was refused", permanent=False)

    def test_huge_segment(self) -> None:
        """F-SS-04: a segment that is longer than a relay takes ends it, and is not kept."""
        self.patch(pieces, "MAX_SEGMENT_BYTES", 1 << 20)
        self.lists[LIST] = [(0, listed(0, 2) + END)]
        endless = (b"G" + bytes(187)) * ((2 << 20) // 188)
        self.segments[f"{ROOT}s0.ts"] = Reply(endless, piece=1 << 16)
        waiting = self.pull()
        self.run_for(0.1)
        self.check_end(waiting, "a segment is longer than 1 MiB", permanent=True)
