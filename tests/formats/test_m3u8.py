"""Playlists, as the examples of RFC 8216 have them."""

from __future__ import annotations

from ntvmedia.formats.m3u8 import (
    Segment,
    Variant,
    date_time,
    media_playlist,
    multivariant_playlist,
)


def test_media_playlist() -> None:
    """RFC 8216bis section 4.4: tags of the list, then those of each segment and its address."""
    text = media_playlist(
        [
            Segment("7-a.ts", 2.0, 784111777.0),
            Segment("8-a.ts", 1.9995, 784111779.0, discontinuity=True),
            Segment("9-a.ts", 2.0, 784111781.0, gap=True),
        ],
        target_duration=2,
        media_sequence=7,
        discontinuity_sequence=3,
    )
    assert text.decode("ascii").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:3",
        "#EXT-X-PROGRAM-DATE-TIME:1994-11-06T08:49:37.000Z",
        "#EXTINF:2.000000,",
        "7-a.ts",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-PROGRAM-DATE-TIME:1994-11-06T08:49:39.000Z",
        "#EXTINF:1.999500,",
        "8-a.ts",
        "#EXT-X-GAP",
        "#EXT-X-PROGRAM-DATE-TIME:1994-11-06T08:49:41.000Z",
        "#EXTINF:2.000000,",
        "9-a.ts",
    ]


def test_end() -> None:
    """An ended list says so in its last line."""
    text = media_playlist(
        [Segment("1.ts", 1.0, 0.0)],
        target_duration=1,
        media_sequence=1,
        discontinuity_sequence=0,
        ended=True,
    )
    assert text.endswith(b"1.ts\n#EXT-X-ENDLIST\n")


def test_multivariant_playlist() -> None:
    """RFC 8216bis section 4.4.6.2: attributes that are not known are left out."""
    text = multivariant_playlist(
        [
            Variant("a/index.m3u8", 2_500_000, ("avc1.64001f", "mp4a.40.2"), 1280, 720, 29.97),
            Variant("b/index.m3u8", 0),
        ]
    )
    assert text.decode("ascii").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        '#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS="avc1.64001f,mp4a.40.2",'
        "RESOLUTION=1280x720,FRAME-RATE=29.970",
        "a/index.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "b/index.m3u8",
    ]


def test_date_time() -> None:
    """C-PL-11: UTC whatever the machine's zone, milliseconds rounded, also over a second's end."""
    assert date_time(0.9996) == "1970-01-01T00:00:01.000Z"
    assert date_time(1763800000.1234) == "2025-11-22T08:26:40.123Z"
    assert date_time(-1.0) == "1969-12-31T23:59:59.000Z"
