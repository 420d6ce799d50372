"""Formats of segments by codec and by address, over a whole server in memory."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.media import Codec
from tests.hls.following import Following
from tests.hls.m3u8 import parse_multivariant
from tests.hls.rig import PATH
from tests.hls.source import Encoder
from tests.hls.watching import Watching


@pytest.mark.parametrize("format_", ["", "fmp4", "ll"])
@pytest.mark.parametrize(
    ("codecs", "entries", "listed_as"),
    [
        ((Codec.HEVC, Codec.AAC), ("hvc1", "mp4a"), "hvc1.1.6.L93.90,mp4a.40.2"),
        ((Codec.AV1, Codec.OPUS), ("av01", "Opus"), "av01.0.05M.08,Opus"),
        ((Codec.VP9, Codec.OPUS), ("vp09", "Opus"), "vp09.00.21.08,Opus"),
    ],
)
def test_codecs(
    rigs: Any, format_: str, codecs: Any, entries: tuple[str, str], listed_as: str
) -> None:
    """C-FM-05, C-FM-08, C-TS-07: what MPEG-TS does not carry well is fMP4, whoever asks."""
    rig = rigs(publish=False, **({"hls_format": format_} if format_ else {}))
    rig.feeds[0].encoder = Encoder(rig.now, codecs=codecs)
    rig.encoder.reorders = True
    rig.publish()
    rig.run(1.6)
    watching = (Following if format_ == "ll" else Watching)(rig)
    watching.join()
    rig.run(12.0)
    assert watching.player.multivariant is not None
    told = watching.player.multivariant.variants[0].attributes["CODECS"]
    assert told.lower().startswith(listed_as.lower()[:14])
    assert told.rpartition(",")[2].lower() == listed_as.rpartition(",")[2].lower()
    (init,) = watching.monitor.resources.inits.values()
    assert tuple(x.entry for x in init.tracks.values()) == entries
    assert init.tracks[1].config == rig.encoder.video.config
    assert watching.ledger.pictures > 100
    assert watching.ledger.sounds > 80
    assert watching.monitor.runs == watching.monitor.gaps == watching.monitor.keyless == 0
    watching.leave()


@pytest.mark.parametrize(
    ("codecs", "status"), [((Codec.AV1, Codec.OPUS), 404), ((Codec.AV1, Codec.AAC), 200)]
)
def test_codecs_of_ts(rigs: Any, codecs: Any, status: int) -> None:
    """C-TS-07: who asks for MPEG-TS by name gets what it carries, or 404."""
    rig = rigs(publish=False)
    rig.feeds[0].encoder = Encoder(rig.now, codecs=codecs)
    rig.publish()
    rig.run(1.6)
    answer = rig.get(f"{PATH}?format=ts")
    assert answer.status == status
    if status == 200:
        playlist = parse_multivariant(answer.body)
        assert {x.attributes["CODECS"] for x in playlist.variants} == {"mp4a.40.2"}


@pytest.mark.parametrize("format_", ["ts", "fmp4", "ll"])
def test_format_by_address(rigs: Any, format_: str) -> None:
    """`?format=` says what is served, whatever the application says."""
    rig = rigs(hls_format="fmp4" if format_ == "ts" else "ts")
    watching = Watching(rig, f"{PATH}?format={format_}")
    watching.join()
    rig.run(6.0)
    playlist = watching.poll()
    assert bool(playlist.segments[0].map) is (format_ != "ts")
    assert bool(playlist.part_target) is (format_ == "ll")
