"""Hours of HLS in simulated time, wraps of the clock, and thousands of muxers."""

from __future__ import annotations

import gc
import random
import weakref
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.hls.following import Following
from tests.hls.m3u8 import Segment
from tests.hls.media import WRAP, Media, step
from tests.hls.renditions import Renditions
from tests.hls.rig import Player, Rig
from tests.hls.source import FRAME_SECONDS, video_track
from tests.hls.watching import Watching

HOUR = 3600.0


class Sums:
    """EXTINF against the clock of the media, over all segments of one run."""

    def __init__(self, watching: Watching) -> None:
        self.found: list[tuple[Segment, int]] = []
        watching.on_segment = self  # type: ignore[method-assign]

    def __call__(self, segment: Segment, media: Media) -> None:
        """Take a segment."""
        self.found.append((segment, media.start))

    @property
    def drift_ms(self) -> float:
        """The largest difference between the sums, in milliseconds."""
        ticks, said, worst = 0, Decimal(0), 0.0
        for (before, start), (_after, following) in pairwise(self.found):
            ticks += step(start, following)
            said += before.duration
            worst = max(worst, abs(ticks / 90 - float(said) * 1000))
        return worst


def watch(rig: Rig) -> Watching:
    """Return a session of the kind that suits the format."""
    return Following(rig) if rig.options.get("hls_format") == "ll" else Watching(rig)


@pytest.mark.parametrize(
    ("format_", "encrypted", "seconds", "longest"),
    [
        ("ts", False, HOUR / 2, 5.0),
        ("ts", True, HOUR / 12, 5.0),
        ("fmp4", True, HOUR / 6, 5.0),
        ("ll", False, HOUR / 40, 3.0),
        ("ll", True, HOUR / 60, 3.0),
        *(
            pytest.param(format_, encrypted, HOUR, longest, marks=pytest.mark.long)
            for format_, longest in (("ts", 2.0), ("ts", 5.0), ("fmp4", 5.0), ("ll", 3.0))
            for encrypted in (False, True)
        ),
    ],
)
def test_hour(format_: str, encrypted: bool, seconds: float, longest: float) -> None:
    """C-PL-01, C-PL-02, C-PL-05, C-PL-08: an hour of random groups of pictures.

    No picture is lost, each segment begins with a keyframe, the target never changes, and the sum
    of EXTINF is within 50 ms of the media. In every format, and with keys: C-FM-02, C-AE-02.
    """
    chance = random.Random(round(longest))
    rig = Rig(hls_segment_seconds=2.0, hls_format=format_, encrypted=encrypted, hls_key_segments=5)
    rig.encoder.gop_seconds = longest
    rig.encoder.reorders = format_ != "ts"
    rig.publish()
    rig.run(1.2 + 2 * longest)  # the longest group is seen before the target is fixed
    watching = watch(rig)
    sums = Sums(watching)
    watching.join()
    for _ in range(round(seconds / 10)):
        rig.encoder.gop_seconds = round(chance.uniform(0.3, longest), 2)
        rig.run(10.0)
        if not chance.randrange(12):
            rig.announce()  # C-PL-09: what was said before is no discontinuity
    monitor = watching.monitor
    assert monitor.keyless == monitor.gaps == monitor.runs == monitor.remakes == 0
    assert monitor.playlist is not None
    assert monitor.playlist.target == max(2, round(longest + 0.49))
    assert sum(float(segment.duration) for segment, _start in sums.found) > seconds - 10
    assert sums.drift_ms < 50
    assert watching.ledger.pictures > (seconds - 10) / FRAME_SECONDS
    assert monitor.parts.missed == 0
    if encrypted:
        assert len(monitor.resources.keys) > seconds / longest / 5 - 2
    watching.leave()
    rig.close()


@pytest.mark.parametrize(
    ("format_", "seconds"),
    [
        ("ts", HOUR / 2),
        pytest.param("ts", HOUR, marks=pytest.mark.long),
        ("fmp4", HOUR / 6),
        pytest.param("fmp4", HOUR, marks=pytest.mark.long),
        ("ll", HOUR / 30),
        pytest.param("ll", HOUR, marks=pytest.mark.long),
    ],
)
def test_hour_of_trouble(format_: str, seconds: float) -> None:
    """C-PL-06, C-PL-08, C-PL-22, C-PL-23: an hour in which the publisher is often lost or silent.

    The discontinuity sequence goes up exactly when a tag slides out: see `PlaylistMonitor`.
    """
    chance, configs = random.Random(6), 0
    rig = Rig(hls_segment_count=5, hls_format=format_, encrypted=format_ != "ts")
    rig.publish()
    rig.run(1.2)
    watching = watch(rig)
    watching.join()
    while rig.now < 1000 + seconds:
        rig.run(chance.uniform(1.0, 60.0))
        match chance.randrange(4):
            case 0:
                rig.lose()
                rig.run(chance.uniform(0.1, 14.0))
                rig.publish(chance.choice([0.0, 4000.0]))
            case 1:
                rig.run(chance.uniform(0.5, 9.0), silent=True)
            case 2:
                configs += 1
                rig.encoder.video = video_track(configs)
                rig.encoder.cut()
                rig.announce()
            case _:
                rig.encoder.gop_seconds = chance.uniform(0.5, 4.0)
    assert watching.monitor.runs >= seconds / 300
    assert watching.monitor.gaps >= seconds / 600
    watching.leave()
    rig.close()


@pytest.mark.parametrize(
    ("format_", "seeds"),
    [
        *((format_, range(2)) for format_ in ("ts", "fmp4", "ll")),
        *(
            pytest.param(format_, range(2, 30), marks=pytest.mark.long)
            for format_ in ("ts", "fmp4", "ll")
        ),
    ],
)
def test_renditions_in_trouble(format_: str, seeds: range) -> None:
    """C-PL-24, C-LL-11: whatever happens to a stream, its lists belong together."""
    for seed in seeds:
        chance, configs = random.Random(seed), 0
        rig = Rig(hls_format=format_, encrypted=bool(seed % 2))
        rig.publish()
        rig.run(1.2)
        renditions = Renditions(rig)
        renditions.join()
        for _ in range(12):
            rig.run(chance.uniform(1.0, 12.0))
            match chance.randrange(5):
                case 0:
                    rig.lose()
                    rig.run(chance.uniform(0.1, 14.0))
                    rig.publish(chance.choice([0.0, 4000.0]))
                case 1:
                    rig.run(chance.uniform(0.3, 9.0), silent=True)
                case 2:
                    configs += 1
                    rig.encoder.video = video_track(configs)
                    rig.encoder.cut()
                    rig.announce()
                case 3:
                    rig.encoder.wants_key = True
                case _:
                    rig.encoder.gop_seconds = chance.uniform(0.5, 4.0)
        assert renditions.checks > 100
        renditions.leave()
        rig.close()


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(WRAP / 90000, id="26h30m"),
        pytest.param(102_480.0, id="28h28m"),
        pytest.param((1 << 32) / 1000, id="49d17h", marks=pytest.mark.long),
    ],
)
def test_wrap(seconds: float) -> None:
    """C-TS-08, G-RS-10: over the wrap of the PTS there is no discontinuity and no gap in EXTINF."""
    rig = Rig(hub={"publisher_silence": 86400.0})
    rig.publish()
    rig.run(3.0)
    # The publisher is silent for a day, and another: so much time has passed on its clock too.
    while rig.now < 1000 + seconds - 30:
        rig.reactor.advance(min(80_000.0, 1000 + seconds - 30 - rig.now))
        rig.encoder.skip(rig.now)
        rig.encoder.wants_key = True
        rig.run(FRAME_SECONDS)
    rig.encoder.cut()
    rig.run(2.0)
    watching = Watching(rig)
    sums = Sums(watching)
    watching.join()
    rig.run(60.0)
    starts = [start for _segment, start in sums.found]
    position = rig.host.hub.streams[next(iter(rig.host.hub.streams))].timeline.position
    assert position > seconds + 20
    # The segments are where the stream is, modulo 2^33 and whatever offset all of them have.
    assert abs(step(starts[-1], round(position * 90000) % WRAP)) < 30 * 90000
    assert watching.monitor.gaps == watching.monitor.runs == 0
    assert sums.drift_ms < 50
    rig.close()


def test_muxers(long_dose: bool) -> None:
    """C-PL-17: of 10,000 muxers that were made and dropped nothing is left: no timer, no object."""
    rig = Rig()
    rig.publish()
    rig.run(2.5)
    count = 10_000 if long_dose else 200
    calls, objects = 0, 0
    for number in range(count):
        player = Player(rig)
        player.join()
        player.wait()
        # The session ends when nobody has asked for 10 s, and with it the muxing.
        rig.reactor.advance(31.0)
        rig.encoder.skip(rig.now)
        rig.encoder.wants_key = True
        rig.run(FRAME_SECONDS * 2)
        rig.host.hub.tick()
        if number == count // 2:
            gc.collect()
            calls, objects = len(rig.reactor.getDelayedCalls()), len(gc.get_objects())
    gc.collect()
    stream = rig.host.hub.streams[next(iter(rig.host.hub.streams))]
    assert len(stream.viewers) <= 1
    assert len(rig.reactor.getDelayedCalls()) <= calls + 2
    # What is kept of a session for some minutes, and the numbers of what was sent.
    rig.encoder.sent["video"].clear()
    grown = len(gc.get_objects()) - objects
    assert grown < max(4000, count), f"{grown} objects more"
    held = weakref.ref(stream)
    del stream
    rig.close()
    gc.collect()
    assert held() is None or not held().viewers  # type: ignore[union-attr]
