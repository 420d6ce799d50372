"""What is told of segments and parts: durations, dates, gaps and discontinuities."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from ntvmedia.media import Packet, Track
from tests.endpoints.http.hls.test_segmenter import IDR, SLICE
from tests.hls.m3u8 import MediaPlaylist, parse_media
from tests.hls.rig import KEY, Player, Publisher, Rig
from tests.hls.source import video_track


class Pictures:
    """A publisher of pictures at some rate, who tells times in milliseconds."""

    def __init__(self, rig: Rig, rate: float) -> None:
        self.rig = rig
        self.rate = rate
        self.count = 0
        self.track: Track = video_track()
        self.publication = rig.host.hub.publish(KEY, Publisher())
        self.publication.track_received(self.track)

    def send(self, seconds: float, *, missing: int = 0) -> None:
        """Let time pass; of every 37 pictures so many are missing."""
        for _picture in range(round(seconds * self.rate)):
            index, self.count = self.count, self.count + 1
            self.rig.reactor.advance(1 / self.rate)
            is_key = not index % round(2 * self.rate)
            if is_key or index % 37 >= missing:
                dts = round(index / self.rate * 1000) * 90
                payload = IDR if is_key else SLICE
                self.publication.packet_received(Packet(self.track, dts, dts, is_key, payload))
                self.publication.batch_ended()
            if not index % round(self.rate):
                self.rig.host.hub.tick()


@pytest.mark.parametrize("missing", [0, 3, 9])
@pytest.mark.parametrize("rate", [24.0, 25.0, 29.97, 59.94])
def test_part_durations(rigs: Any, rate: float, missing: int) -> None:
    """C-LL-07: no part is told to be longer than PART-TARGET, to the last decimal."""
    rig = rigs(publish=False, hls_format="ll", hls_audio_variant=False)
    pictures = Pictures(rig, rate)
    pictures.send(4.0)
    player = Player(rig)
    player.join()
    pending = player.ask()
    seen: set[Decimal] = set()
    targets: set[Decimal] = set()
    for _poll in range(20):
        pictures.send(0.5, missing=missing)
        if pending.answer is not None:
            text = player.poll().body.decode("ascii")
            seen.update(map(Decimal, re.findall(r"PART:DURATION=([0-9.]+)", text)))
            targets.update(map(Decimal, re.findall(r"PART-TARGET=([0-9.]+)", text)))
    pending.leave()
    (target,) = targets
    assert Decimal("0.19") < max(seen) <= target


def _listed(player: Player) -> MediaPlaylist:
    return parse_media(player.poll().body)


@pytest.mark.parametrize("format_name", ["ts", "fmp4", "ll"])
def test_blocking_is_off(rigs: Any, format_name: str) -> None:
    """C-LL-15: where players may not wait there is neither a hint nor the promise."""
    rig = rigs(hls_format=format_name, hls_blocking=False, hls_audio_variant=False)
    rig.run(5.0)
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(3.3)
    body = player.poll().body
    assert b"PRELOAD-HINT" not in body
    assert b"CAN-BLOCK-RELOAD" not in body
    assert (b"#EXT-X-PART:" in body) is (format_name == "ll")
    # Who asks to wait all the same gets what there is.
    playlist = _listed(player)
    query = f"?_HLS_msn={playlist.segments[-1].number + 1}&_HLS_part=3"
    assert rig.get(player.playlist + query).body == body
    rig.set_options(hls_blocking=True)
    rig.run(3.3)
    assert (b"PRELOAD-HINT" in player.poll().body) is (format_name == "ll")


@pytest.mark.parametrize("format_name", ["ts", "fmp4", "ll"])
def test_stall(rigs: Any, format_name: str) -> None:
    """C-PL-22, C-PL-11: gaps in time, whose stills can be fetched; dates go on as time does."""
    rig = rigs(hls_format=format_name, hls_audio_variant=False, hub={"publisher_silence": 60.0})
    rig.run(6.0)
    player = Player(rig)
    player.join()
    player.wait()
    last, at = _listed(player).segments[-1].number, rig.now
    for _poll in range(30):
        rig.run(0.4, silent=True)
        playlist = _listed(player)
        if playlist.segments[-1].number > last:
            last, at = playlist.segments[-1].number, rig.now
        assert rig.now - at <= 1.5 * playlist.target
    gaps = [x for x in playlist.segments if x.gap]
    assert len(gaps) >= 3
    for segment in gaps:
        answer = player.fetch(segment.uri)
        assert answer.status == 200
        assert answer.body
    for _poll in range(8):
        rig.run(1.0)
        playlist = _listed(player)
    dates = [x.date for x in playlist.segments]
    assert dates == sorted(set(dates))
    assert not playlist.segments[-1].gap
    assert sum(x.discontinuity for x in playlist.segments) <= 1


def test_missing_key_files(rigs: Any) -> None:
    """C-AE-03: gaps of an encrypted list have the key of what is before them, to the end."""
    rig = rigs(encrypted=True, hls_key_segments=1, hub={"publisher_silence": 90.0})
    rig.run(6.0)
    player = Player(rig)
    player.join()
    player.wait()
    for _poll in range(60):
        rig.run(0.5, silent=True)
        playlist = _listed(player)
    assert all(x.gap for x in playlist.segments)
    for segment in playlist.segments:
        assert segment.key is not None
        assert player.fetch(segment.key.uri).status == 200
        assert len(player.fetch(segment.uri).body) % 16 == 0
