"""Tests of tests.hls.variants: every rule catches what breaks it, and nothing else."""

from __future__ import annotations

import pytest

from tests.hls.m3u8 import Violation, parse_multivariant

MULTIVARIANT = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Sound",DEFAULT=YES,URI="audio/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1200000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2",\
RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="a"
av/index.m3u8
"""


def test_multivariant() -> None:
    """Attributes are read without their quotes; commas inside these separate nothing."""
    playlist = parse_multivariant(MULTIVARIANT.encode())
    assert playlist.version == 4
    (variant,) = playlist.variants
    assert variant.uri == "av/index.m3u8"
    assert variant.attributes["CODECS"] == "avc1.64001f,mp4a.40.2"
    assert playlist.media[0]["URI"] == "audio/index.m3u8"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("BANDWIDTH=1200000,", "", "stream-inf"),
        ("BANDWIDTH=1200000,", "BANDWIDTH=900000,", "bandwidth"),
        ("BANDWIDTH=1200000,", "BANDWIDTH=1.2e6,", "integer"),
        ("BANDWIDTH=1200000,", "BANDWIDTH=1200000, ", "attributes"),
        ("BANDWIDTH=1200000,", "BANDWIDTH=1200000,BANDWIDTH=1200000,", "attributes"),
        ('CODECS="avc1.64001f,mp4a.40.2",', "", "stream-inf"),
        ('"avc1.64001f,mp4a.40.2"', '""', "empty-attribute"),
        ('"avc1.64001f,mp4a.40.2"', "avc1.64001f", "quotes"),
        ("avc1.64001f", "avc1", "codecs"),
        ("avc1.64001f,", "", "resolution"),
        ("mp4a.40.2", "avc1.64001f", "codecs"),
        ("RESOLUTION=1280x720,", "", "resolution"),
        ("1280x720", "1280X720", "resolution"),
        ("29.970", "29.9700", "frame-rate"),
        ('AUDIO="a"', 'AUDIO="b"', "group"),
        ('NAME="Sound",', "", "media"),
        ("DEFAULT=YES", "DEFAULT=TRUE", "media"),
        ("av/index.m3u8\n", "", "tag-without-uri"),
        ("av/index.m3u8\n", "av/index.m3u8", "last-line"),
        ("av/index.m3u8\n", "#EXT-X-TARGETDURATION:2\n", "tag-without-uri"),
        ("av/index.m3u8\n", "av/index.m3u8\nav/other.m3u8\n", "uri-without-tag"),
        ("av/index.m3u8\n", "av/index.m3u8\n#EXT-X-TARGETDURATION:2\n", "unknown-tag"),
        (
            "av/index.m3u8\n",
            'av/index.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b"\n',
            "media-order",
        ),
        ("#EXT-X-VERSION:4\n", "#EXT-X-VERSION:4\n#EXT-X-VERSION:4\n", "once"),
        ("#EXT-X-VERSION:4\n", "#EXT-X-VERSION:11\n", "version"),
    ],
)
def test_wrong_multivariant(old: str, new: str, rule: str) -> None:
    """C-PL-21: each rule of a multivariant playlist catches its violation."""
    assert old in MULTIVARIANT
    with pytest.raises(Violation) as caught:
        parse_multivariant(MULTIVARIANT.replace(old, new, 1).encode())
    assert caught.value.rule == rule


MANY = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Deutsch",LANGUAGE="de",AUTOSELECT=YES,CHANNELS="2",\
URI="de/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3,CODECS="hvc1.1.6.L93.90,ac-3",RESOLUTION=8x8,AUDIO="audio"
a/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3,CODECS="av01.0.05M.08,Opus",RESOLUTION=8x8,AUDIO="audio"
b/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3,CODECS="vp09.02.10.10.01.09.16.09.01,fLaC",RESOLUTION=8x8
c/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3,CODECS="ec-3"
d/index.m3u8
"""


def test_many() -> None:
    """All codecs, several tracks of sound, and a variant that is sound alone."""
    playlist = parse_multivariant(MANY.encode())
    assert [x.has_video for x in playlist.variants] == [True, True, True, False]
    assert playlist.uris == [f"{x}/index.m3u8" for x in ("a", "b", "c", "d", "de")]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("TYPE=AUDIO", "TYPE=SUBTITLES", "media"),
        ('NAME="Deutsch"', 'NAME="English"', "same-name"),
        ('LANGUAGE="de"', 'LANGUAGE="d_e"', "language"),
        ('LANGUAGE="de"', 'LANGUAGE=""', "empty-attribute"),
        ('LANGUAGE="de"', 'LANGUAGE="de",DEFAULT=YES', "defaults"),
        ("DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO", "media"),
        ("DEFAULT=YES", "FORCED=YES", "media"),
        ('CHANNELS="2"', 'CHANNELS="0"', "media"),
        (',URI="de/index.m3u8"', "", "muxed"),
        (
            "#EXT-X-STREAM",
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="c",URI="e/"\n#EXT-X-STREAM',
            "group",
        ),
        (
            "#EXT-X-STREAM",
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="c",URI="de/index.m3u8"\n#EXT-X-STREAM',
            "same-uri",
        ),
        ("hvc1.1.6.L93.90", "hvc1", "codecs"),
        ("av01.0.05M.08", "av01.0.05M.8", "codecs"),
        ("av01.0.05M.08", "av1", "codecs"),
        ("vp09.02.10.10.01.09.16.09.01", "vp9", "codecs"),
        ("fLaC", "flac", "codecs"),
        ("ac-3", "ac3", "codecs"),
        ("Opus", "A_OPUS", "codecs"),
        ('"ec-3"', '"ec-3",RESOLUTION=8x8', "resolution"),
        ('"ec-3"', '"ec-3",FRAME-RATE=25', "frame-rate"),
        ("VERSION:9", "VERSION:10", "version"),
    ],
)
def test_wrong_many(old: str, new: str, rule: str) -> None:
    """C-PL-21: each rule of tracks and codecs catches its violation."""
    text = MANY.replace(old, new, 1)
    assert text != MANY
    with pytest.raises(Violation) as caught:
        parse_multivariant(text.encode())
    assert caught.value.rule == rule, caught.value
