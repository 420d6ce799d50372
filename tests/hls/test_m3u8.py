"""Tests of tests.hls.m3u8: every rule catches what breaks it, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.hls.m3u8 import Violation, parse_media, parse_multivariant

MEDIA = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500Z
#EXTINF:2.480,
a.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.980Z
#EXT-X-GAP
#EXTINF:2.000,
b.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:12.000Z
#EXTINF:1.5000,title
c.ts
"""

MULTIVARIANT = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Sound",DEFAULT=YES,URI="audio/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1200000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2",\
RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="a"
av/index.m3u8
"""


def test_media() -> None:
    """A playlist with all that the server may write is read as it is meant."""
    playlist = parse_media(MEDIA.encode())
    assert (playlist.version, playlist.target, playlist.number) == (6, 2, 100)
    assert [x.number for x in playlist.segments] == [100, 101, 102]
    assert [x.uri for x in playlist.segments] == ["a.ts", "b.ts", "c.ts"]
    assert [x.gap for x in playlist.segments] == [False, True, False]
    assert [x.discontinuity_number for x in playlist.segments] == [7, 7, 8]
    assert [x.date for x in playlist.segments][1:] == [1767323047980, 1767323052000]
    assert playlist.duration == Decimal("5.98")
    assert (playlist.ended, playlist.independent) == (False, True)
    assert parse_media(MEDIA.replace("\n", "\r\n").encode()) == playlist
    assert parse_media(MEDIA.encode() + b"#EXT-X-ENDLIST\n").ended


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
        ("#EXTM3U\n", "", "first-line"),
        ("#EXTM3U\n", "\ufeff#EXTM3U\n", "bom"),
        ("title", "ti\ttle", "control"),
        ("title", "ti\rtle", "control"),
        ("title", "tite\u0301", "nfc"),
        ("c.ts\n", "c.ts", "last-line"),
        ("c.ts\n", "c d.ts\n", "uri"),
        ("c.ts\n", "a.ts\n", "same-uri"),
        ("c.ts\n", "", "tag-without-uri"),
        ("c.ts\n", "c.ts\n#EXTM3U\n", "tag"),
        ("#EXT-X-VERSION:6\n", "", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:2\n", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:3\n", "version"),  # 2.48 s over a target of 2 s
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:12\n", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6\n", "once"),
        ("#EXT-X-TARGETDURATION:2\n", "", "missing-tag"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:2.0\n", "integer"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:1\n", "too-long"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:0\n", "target"),
        ("#EXT-X-MEDIA-SEQUENCE:100\n", "", "missing-tag"),
        ("#EXT-X-MEDIA-SEQUENCE:100\n", "#EXT-X-MEDIA-SEQUENCE:18446744073709551616\n", "integer"),
        ("c.ts\n", "c.ts\n#EXT-X-MEDIA-SEQUENCE:100\n", "once"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:7\n", "", "missing-tag"),
        (
            "#EXT-X-DISCONTINUITY-SEQUENCE:7\n",
            "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n",
            "late-sequence",
        ),
        ("#EXT-X-INDEPENDENT-SEGMENTS\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n", "playlist-type"),
        ("#EXT-X-INDEPENDENT-SEGMENTS\n", "#EXT-X-ALLOW-CACHE:NO\n", "unknown-tag"),
        ("2.480", "2.48", "extinf-decimals"),
        ("2.480", "2", "extinf-decimals"),
        ("2.480", "2.5000", "too-long"),  # halves are rounded up
        ("2.480", "-2.480", "extinf"),
        ("2.480", "0.000", "extinf"),
        ("#EXTINF:2.480,", "#EXTINF:2.480", "extinf"),
        ("#EXTINF:2.480,\n", "", "no-extinf"),
        ("#EXTINF:2.480,\n", "#EXTINF:2.480,\n#EXTINF:2.480,\n", "once"),
        ("#EXT-X-GAP\n", "#EXT-X-GAP:YES\n", "tag"),
        ("#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500Z\n", "", "no-date"),
        ("05.500Z", "05Z", "date"),
        ("05.500Z", "05.500+08:00", "date"),
        ("2026-01-02T03:04:07.980Z", "2026-01-02T03:04:08.000Z", "date-step"),
        ("2026-01-02T03:04:12.000Z", "2026-01-02T03:04:08.900Z", "date-ambiguous"),
        ("2026-01-02T03:04:12.000Z", "2026-01-02T02:04:12.000Z", "date-ambiguous"),
    ],
)
def test_wrong_media(old: str, new: str, rule: str) -> None:
    """Each rule of a media playlist catches its violation."""
    assert old in MEDIA
    with pytest.raises(Violation) as caught:
        parse_media(MEDIA.replace(old, new, 1).encode())
    assert caught.value.rule == rule


def test_wrong_bytes() -> None:
    """A playlist is UTF-8, and lists something."""
    for body, rule in (
        (MEDIA.replace("title", "\xe9").encode("latin-1"), "utf-8"),
        (MEDIA[: MEDIA.index("#EXT-X-PROGRAM")].encode(), "empty"),
        (b"#EXTM3U\n", "missing-tag"),
        (b"", "last-line"),
    ):
        with pytest.raises(Violation) as caught:
            parse_media(body)
        assert caught.value.rule == rule


def test_small_overlap() -> None:
    """At a discontinuity the date may go back by less than a second (6.2.1)."""
    parse_media(MEDIA.replace("03:04:12.000Z", "03:04:09.100Z").encode())


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
