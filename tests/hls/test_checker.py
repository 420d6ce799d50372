"""Tests of tests.hls.checker: a server that keeps the rules, and one for each way to break them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.hls.checker import Answer, PlaylistMonitor
from tests.hls.m3u8 import Violation
from tests.hls.ts_bytes import AUDIO_PID, VIDEO_PID, TSWriter, picture, sound

FRAME = 7200
WALL = 1_767_323_045.0


@dataclass
class Listed:
    """A segment of the server."""

    uri: str
    duration: float
    date: float
    discontinuity: bool = False
    gap: bool = False


@dataclass
class Server:
    """A small server of our own, whose media clock begins at 10 s.

    Attributes:
        now: Monotonic seconds; also the media time.
        lines: More lines behind the head.
        end: Lines at the end.
    """

    now: float = 10.0
    target: int = 2
    number: int = 100
    discontinuities: int = 7
    listed: list[Listed] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    writer: TSWriter = field(default_factory=TSWriter)
    made: int = 0
    lines: str = "#EXT-X-INDEPENDENT-SEGMENTS\n"
    end: str = ""
    kind: str = "video/mp2t"
    window: float = 6.0
    shift: float = 0.0

    def add(
        self,
        seconds: float = 2.0,
        *,
        discontinuity: bool = False,
        gap: bool = False,
        key: bool = True,
        said: float | None = None,
        uri: str = "",
    ) -> None:
        """Let time pass, and list what came in it."""
        self.made += 1
        uri = uri or f"s{self.made}.ts"
        if not gap:
            self.files[uri] = self.media(self.now + self.shift, seconds, key=key)
        date = WALL + self.now
        self.listed.append(Listed(uri, said or seconds, date, discontinuity, gap))
        self.now += seconds
        while sum(x.duration for x in self.listed[1:]) >= self.window:
            self.remove()

    def remove(self) -> None:
        """Take the first segment from the list."""
        self.number += 1
        self.discontinuities += self.listed.pop(0).discontinuity

    def media(self, at: float, seconds: float, *, key: bool) -> bytes:
        """Return a segment."""
        data = self.writer.tables()
        for frame in range(round(at * 90000), round((at + seconds) * 90000) - 10, FRAME):
            payload = picture(frame // FRAME, key=key)
            data += self.writer.unit(VIDEO_PID, frame, payload, pcr=frame, key=key)
            data += self.writer.unit(AUDIO_PID, frame, sound(b"x"))
            key = False
        return data

    def text(self) -> bytes:
        """Return the playlist."""
        text = f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{self.target}\n"
        text += f"#EXT-X-MEDIA-SEQUENCE:{self.number}\n"
        text += f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuities}\n{self.lines}"
        for one in self.listed:
            text += "#EXT-X-DISCONTINUITY\n" * one.discontinuity + "#EXT-X-GAP\n" * one.gap
            date = datetime.fromtimestamp(one.date, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            text += f"#EXT-X-PROGRAM-DATE-TIME:{date}Z\n#EXTINF:{one.duration:.3f},\n{one.uri}\n"
        return (text + self.end).encode()

    def fetch(self, uri: str) -> Answer:
        """Answer a request for a segment."""
        if uri not in self.files:
            return Answer(404, {}, b"")
        return Answer(200, {"content-type": self.kind}, self.files[uri])


class Watched:
    """The server, and who watches it from its first segment on."""

    def __init__(self) -> None:
        self.server = Server()
        self.later = 0.0
        self.monitor = PlaylistMonitor(lambda uri: self.server.fetch(uri))
        for _ in range(4):
            self.next()

    def next(self, seconds: float = 2.0, **options: object) -> None:
        """Add a segment and look."""
        self.server.add(seconds, **options)  # type: ignore[arg-type]
        self.look()

    def look(self, later: float = 0.0) -> None:
        """Look, some seconds later."""
        self.later += later
        self.monitor.saw(self.server.now + self.later, self.server.text())


def test_good() -> None:
    """A server that keeps all rules is not complained about: gaps, discontinuities, the end."""
    watched = Watched()
    server, monitor = watched.server, watched.monitor
    for _ in range(10):
        watched.next()
    watched.look(1.0)
    watched.next(1.2)
    watched.next(2.4)
    watched.next(2.0, gap=True)
    watched.next(1.0, gap=True)
    server.writer = TSWriter()
    for _ in range(8):
        watched.next(2.0, discontinuity=_ == 0)
    assert server.discontinuities == 8
    # A group of pictures that is too long is cut where it has to be.
    server.lines = ""
    server = watched.server = Server(lines="", now=1000.0, number=9000, discontinuities=900)
    monitor.may_be_remade()
    server.made = 500
    watched.next(2.4, discontinuity=True)
    watched.next(2.4, key=False)
    watched.next(0.8, key=False)
    monitor.stream_ended()
    watched.next(0.4)
    watched.look(100.0)
    monitor.check_all(server.now)
    monitor.stream_began()
    watched.next(1.0, discontinuity=True)
    server.end = "#EXT-X-ENDLIST\n"
    watched.look(1.0)
    watched.look(1000.0)
    assert (monitor.remakes, monitor.gaps, monitor.runs, monitor.keyless) == (1, 2, 3, 2)
    assert monitor.segments == 4 + 10 + 2 + 2 + 8 + 5


def back(watched: Watched) -> None:
    """A media sequence that goes back."""
    watched.server.number -= 1
    watched.look()


def discontinuity_back(watched: Watched) -> None:
    """A discontinuity sequence that goes back."""
    watched.server.discontinuities -= 1
    watched.look()


def discontinuity_up(watched: Watched) -> None:
    """One that goes up, and nothing slid out (C-PL-08)."""
    watched.server.discontinuities += 1
    watched.look()


def discontinuity_lost(watched: Watched) -> None:
    """One that stays where the tag slid out (C-PL-08)."""
    watched.next(discontinuity=True)
    watched.next()
    watched.next()
    watched.server.add()
    watched.server.discontinuities -= 1
    watched.look()


def renumbered(watched: Watched) -> None:
    """A media sequence that goes up by more than slid out."""
    watched.server.number += 1
    watched.look()


def retargeted(watched: Watched) -> None:
    """Another target duration (C-PL-02)."""
    watched.server.target = 3
    watched.look()


def reversioned(watched: Watched) -> None:
    """Another promise of independence."""
    watched.server.lines = ""
    watched.look()


def redated(watched: Watched) -> None:
    """All dates moved by a step of the clock (C-PL-11)."""
    for one in watched.server.listed:
        one.date -= 3600
    watched.look()


def retimed(watched: Watched) -> None:
    """Dates that jump without a discontinuity (C-PL-11)."""
    watched.server.now += 0.5
    watched.server.shift = -0.5
    watched.next()


def jump(watched: Watched) -> None:
    """A list with nothing of the last one."""
    watched.server.number += 50
    watched.look()


def restarted(watched: Watched) -> None:
    """Another server, which begins below what the first one had (C-PL-07)."""
    watched.monitor.server_restarted()
    watched.server = Server(number=3, discontinuities=8, made=50)
    watched.next()


def remade(watched: Watched) -> None:
    """A list made anew that looks like the old one going on."""
    watched.monitor.may_be_remade()
    watched.server.number += 6
    for one in watched.server.listed:
        one.date += 100
        one.uri += "x"
        watched.server.files[one.uri] = watched.server.files[one.uri[:-1]]
    watched.look()


def removed_last(watched: Watched) -> None:
    """A list that loses its last segment."""
    watched.server.listed.pop()
    watched.server.target = 2
    watched.look()


def window(watched: Watched) -> None:
    """A list shorter than three target durations (C-PL-23)."""
    watched.server.remove()
    watched.look()


def late(watched: Watched) -> None:
    """No new segment for more than one and a half target durations (C-PL-22)."""
    watched.look(3.0)
    watched.look(0.1)


def after_end(watched: Watched) -> None:
    """A list that goes on after its end."""
    watched.server.end = "#EXT-X-ENDLIST\n"
    watched.look()
    watched.server.end = ""
    watched.next()


def after_stream(watched: Watched) -> None:
    """Gaps, where the stream is over (C-PL-15)."""
    watched.monitor.stream_ended()
    watched.look()
    watched.server.window = 100
    watched.next(2.0, gap=True)


def absent(watched: Watched) -> None:
    """A segment that is listed and not there."""
    watched.server.add()
    del watched.server.files[watched.server.listed[-1].uri]
    watched.look()


def absent_later(watched: Watched) -> None:
    """One that is there only at first."""
    del watched.server.files[watched.server.listed[0].uri]
    watched.monitor.check_all(watched.server.now)


def gone_at_once(watched: Watched) -> None:
    """A segment deleted when it is removed from the list (C-PL-14)."""
    first = watched.server.listed[0].uri
    watched.server.add()
    del watched.server.files[first]
    watched.look()


def gone_early(watched: Watched) -> None:
    """One deleted a little before its time (C-PL-14)."""
    first = watched.server.listed[0].uri
    watched.next()
    for _ in range(2):
        watched.next()
    # It was last listed at 18 s, lasts 2 s, and its longest playlist 6 s: until 26 s.
    watched.server.add(0.8)
    assert 24.5 < watched.server.now < 26
    del watched.server.files[first]
    watched.look()


def changed(watched: Watched) -> None:
    """Bytes that change."""
    watched.server.files[watched.server.listed[0].uri] += b"\x47"
    watched.monitor.check_all(watched.server.now)


def again(watched: Watched) -> None:
    """An address used twice (C-PL-07)."""
    watched.next(uri="s1.ts")


def typed(watched: Watched) -> None:
    """A segment that says it is something else."""
    watched.server.kind = "text/html"
    watched.next()


def large(watched: Watched) -> None:
    """A segment of more than 50 MB (C-PL-04)."""
    watched.server.add()
    packets = watched.server.writer.unit(AUDIO_PID, 10**7, sound(b"x"))
    watched.server.files[watched.server.listed[-1].uri] += packets * 280_000
    watched.look()


def keyless(watched: Watched) -> None:
    """A segment without a keyframe (C-PL-01)."""
    server = watched.server = Server(lines="", number=1000, discontinuities=100, made=100)
    watched.monitor.may_be_remade()
    server.add(1.2, discontinuity=True)
    watched.next(key=False)


def dependent(watched: Watched) -> None:
    """The same, where all are said to be independent."""
    watched.next(2.4)
    watched.next(key=False)


def gap_unmarked(watched: Watched) -> None:
    """No discontinuity after a gap."""
    watched.next(gap=True)
    watched.next()


def unmapped(watched: Watched) -> None:
    """Other tracks without a discontinuity."""
    watched.server.writer.types[0x102] = 0x03
    watched.next()


def counter(watched: Watched) -> None:
    """Continuity counters that begin anew (C-TS-01)."""
    watched.server.writer.counters[VIDEO_PID] += 5
    watched.next()


def references(watched: Watched) -> None:
    """More than 100 ms between the clock references of two segments (C-TS-02)."""
    watched.server.shift = 0.1
    watched.next()


def times(watched: Watched) -> None:
    """Times that begin anew without a discontinuity (C-PL-10)."""
    watched.server.shift = -10.0
    watched.next()


def duration(watched: Watched) -> None:
    """An EXTINF that is not what the media has (C-PL-05)."""
    watched.next(2.0, said=2.1)
    watched.server.now += 0.1
    watched.server.shift -= 0.1
    watched.next()


def duration_too_short(watched: Watched) -> None:
    """Less said than there is."""
    watched.next(2.0, said=0.4)


def drift(watched: Watched) -> None:
    """EXTINF a millisecond too long each time: after 51 segments it is seen (C-PL-05)."""
    for _ in range(60):
        watched.server.add(2.0)
        watched.server.now += 0.001
        watched.server.listed[-1].duration += 0.001
        watched.server.shift -= 0.001
        watched.look()


def test_slid_on() -> None:
    """A list that went on while nobody looked is no list made anew."""
    watched = Watched()
    watched.monitor.may_be_remade()
    for _ in range(30):
        watched.server.add()
    watched.look()
    watched.next()
    assert watched.monitor.remakes == 0


@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (back, "sequence-back"),
        (discontinuity_back, "discontinuity-back"),
        (discontinuity_up, "discontinuity-number"),
        (discontinuity_lost, "discontinuity-number"),
        (renumbered, "segment-changed"),
        (retargeted, "target-changed"),
        (reversioned, "independent-changed"),
        (redated, "segment-changed"),
        (retimed, "date-step"),
        (jump, "jump"),
        (remade, "remade"),
        (restarted, "sequence-back"),
        (removed_last, "end-removed"),
        (window, "window"),
        (late, "late"),
        (after_end, "after-end"),
        (after_stream, "after-stream"),
        (absent, "not-there"),
        (absent_later, "not-there"),
        (gone_at_once, "gone-early"),
        (gone_early, "gone-early"),
        (changed, "bytes-changed"),
        (again, "uri-again"),
        (typed, "segment-type"),
        (large, "too-large"),
        (keyless, "no-keyframe"),
        (dependent, "independent"),
        (gap_unmarked, "gap-without-discontinuity"),
        (unmapped, "map-changed"),
        (counter, "counter-across"),
        (references, "pcr-interval"),
        (times, "pcr-interval"),
        (duration, "duration"),
        (duration_too_short, "duration"),
        (drift, "drift"),
    ],
)
def test_broken(break_it: Callable[[Watched], None], rule: str) -> None:
    """Each rule catches its violation, named by the function that commits it."""
    watched = Watched()
    with pytest.raises(Violation) as caught:
        break_it(watched)
    assert caught.value.rule == rule, caught.value
