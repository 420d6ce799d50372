"""Playlists, as the examples of RFC 8216 have them."""

from __future__ import annotations

from ntvmedia.formats.m3u8 import (
    ByteRange,
    Key,
    LowLatency,
    Map,
    Part,
    Rendition,
    Report,
    Segment,
    Variant,
)
from ntvmedia.formats.m3u8_writer import date_time, media_playlist, multivariant_playlist


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


def test_keys_and_maps() -> None:
    """C-AE-03, C-AE-04: an init segment is clear; a key stands where it, or its vector, changes."""
    one, other = Key("1.key", bytes(15) + b"\x01"), Key("1.key", bytes(15) + b"\x02")
    segments = [
        Segment("7.m4s", 2.0, 0.0, map=Map("init0.mp4"), key=one),
        Segment("8.m4s", 2.0, 2.0, map=Map("init0.mp4"), key=one),
        Segment("9.m4s", 2.0, 4.0, map=Map("init0.mp4"), key=other),
        Segment("10.m4s", 2.0, 6.0, True, map=Map("init1.mp4"), key=other),
        Segment("11.m4s", 2.0, 8.0, map=Map("init1.mp4")),
    ]
    assert _tags(segments) == [
        '#EXT-X-MAP:URI="init0.mp4"',
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000001',
        "7.m4s",
        "8.m4s",
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000002',
        "9.m4s",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-MAP:URI="init1.mp4"',
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000002',
        "10.m4s",
        "#EXT-X-KEY:METHOD=NONE",
        "11.m4s",
    ]
    # Whatever has slid out: nothing of what was before is left, nothing that is needed is missing.
    assert _tags(segments[3:])[1:4] == [
        '#EXT-X-MAP:URI="init1.mp4"',
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000002',
        "10.m4s",
    ]


def test_encrypted_init_segments() -> None:
    """RFC 8216bis 4.4.4.5: a key before the tag applies to the init segment, so it stands there."""
    key = Key("1.key", bytes(15) + b"\x01")
    hidden, clear = Map("hidden.mp4", key=key), Map("clear.mp4")
    tag = '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000001'
    assert _tags(
        [
            Segment("1.m4s", 2.0, map=hidden, key=key),
            Segment("2.m4s", 2.0, map=clear, key=key),
            Segment("3.m4s", 2.0, map=hidden),
            Segment("4.m4s", 2.0, map=hidden),
        ]
    ) == [
        tag,
        '#EXT-X-MAP:URI="hidden.mp4"',
        "1.m4s",
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-MAP:URI="clear.mp4"',
        tag,
        "2.m4s",
        '#EXT-X-MAP:URI="hidden.mp4"',
        "#EXT-X-KEY:METHOD=NONE",
        "3.m4s",
        "4.m4s",
    ]


def test_key_formats() -> None:
    """RFC 8216bis 4.4.4.4: keys of different formats hold side by side, unless one is ended."""
    other = Key("skd://x", b"", "SAMPLE-AES", "com.apple.streamingkeydelivery")
    segments = [
        Segment("1.ts", 2.0, key=Key("1.key", b"")),
        Segment("2.ts", 2.0, key=other),
        Segment("3.ts", 2.0, key=other),
    ]
    assert _tags(segments) == [
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key"',
        "1.ts",
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"',
        "2.ts",
        "3.ts",
    ]


def test_byte_ranges_and_kind() -> None:
    """RFC 8216bis 4.4.4.2, 4.4.3.5: always with an offset; a list that says it will not change."""
    text = media_playlist(
        [
            Segment(
                "a.mp4", 2.0, map=Map("a.mp4", ByteRange(700, 0)), byte_range=ByteRange(9, 700)
            ),
            Segment(
                "a.mp4", 2.0, map=Map("a.mp4", ByteRange(700, 0)), byte_range=ByteRange(8, 709)
            ),
        ],
        target_duration=2,
        media_sequence=0,
        discontinuity_sequence=0,
        ended=True,
        kind="VOD",
    )
    assert text.decode("ascii").splitlines()[5:] == [
        "#EXT-X-PLAYLIST-TYPE:VOD",
        '#EXT-X-MAP:URI="a.mp4",BYTERANGE="700@0"',
        "#EXT-X-BYTERANGE:9@700",
        "#EXTINF:2.000000,",
        "a.mp4",
        "#EXT-X-BYTERANGE:8@709",
        "#EXTINF:2.000000,",
        "a.mp4",
        "#EXT-X-ENDLIST",
    ]


def _tags(segments: list[Segment]) -> list[str]:
    text = media_playlist(
        segments, target_duration=2, media_sequence=7, discontinuity_sequence=0
    ).decode("ascii")
    left_out = ("#EXTINF", "#EXT-X-PROGRAM")
    return [x for x in text.splitlines()[5:] if not x.startswith(left_out)]


def test_low_latency() -> None:
    """C-LL-06, C-LL-08: control, parts before their segment's duration, hint and reports."""
    parts = (Part("8.0.m4s", 0.2, independent=True), Part("8.1.m4s", 0.16))
    segments = [
        Segment("7.m4s", 1.0, 0.0, map=Map("init0.mp4")),
        Segment("8.m4s", 0.36, 1.0, map=Map("init0.mp4"), parts=parts),
    ]
    low_latency = LowLatency(
        0.203,
        can_block=True,
        next_segment=Segment("", 0.0, 1.36, True, map=Map("init1.mp4"), parts=(parts[0],)),
        hint="9.1.m4s",
        reports=[Report("../ll-audio/index.m3u8", 9, 3)],
    )
    text = media_playlist(
        segments,
        target_duration=1,
        media_sequence=7,
        discontinuity_sequence=0,
        low_latency=low_latency,
        skipped=1,
    )
    assert text.decode("ascii").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:1",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,"
        "PART-HOLD-BACK=0.609",
        "#EXT-X-PART-INF:PART-TARGET=0.203",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=1",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z",
        '#EXT-X-PART:DURATION=0.200000,URI="8.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.160000,URI="8.1.m4s"',
        "#EXTINF:0.360000,",
        "8.m4s",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init1.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.360Z",
        '#EXT-X-PART:DURATION=0.200000,URI="8.0.m4s",INDEPENDENT=YES',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="9.1.m4s"',
        '#EXT-X-RENDITION-REPORT:URI="../ll-audio/index.m3u8",LAST-MSN=9,LAST-PART=3',
    ]
    ended = media_playlist(
        segments,
        target_duration=1,
        media_sequence=7,
        discontinuity_sequence=0,
        ended=True,
        low_latency=low_latency,
    )
    assert b"PRELOAD-HINT" not in ended


def test_multivariant_playlist() -> None:
    """RFC 8216bis section 4.4.6.2: attributes that are not known are left out."""
    text = multivariant_playlist(
        [
            Variant(
                "a/index.m3u8",
                2_500_000,
                2_000_000,
                ("avc1.64001f", "mp4a.40.2"),
                1280,
                720,
                29.97,
                "sound",
            ),
            Variant("b/index.m3u8", 0),
        ],
        [
            Rendition("sound", "en", "en", 2, is_default=True),
            Rendition("sound", "Audio 2", uri="c/index.m3u8"),
        ],
    )
    assert text.decode("ascii").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="en",DEFAULT=YES,AUTOSELECT=YES,'
        'LANGUAGE="en",CHANNELS="2"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Audio 2",DEFAULT=NO,AUTOSELECT=YES,'
        'URI="c/index.m3u8"',
        "#EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2000000,"
        'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="sound"',
        "a/index.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "b/index.m3u8",
    ]


def test_other_media() -> None:
    """RFC 8216bis 4.4.6.1: subtitles, and what variants say of them."""
    text = multivariant_playlist(
        [Variant("a.m3u8", 1, video="v", subtitles="s", name="720p", video_range="PQ")],
        [Rendition("s", "fr", uri="fr.m3u8", kind="SUBTITLES", autoselect=False, forced=True)],
    )
    assert text.decode("ascii").splitlines()[2:] == [
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="fr",DEFAULT=NO,AUTOSELECT=NO,FORCED=YES,'
        'URI="fr.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,VIDEO-RANGE=PQ,VIDEO="v",SUBTITLES="s",NAME="720p"',
        "a.m3u8",
    ]


def test_date_time() -> None:
    """C-PL-11: UTC whatever the machine's zone, milliseconds rounded, also over a second's end."""
    assert date_time(0.9996) == "1970-01-01T00:00:01.000Z"
    assert date_time(1763800000.1234) == "2025-11-22T08:26:40.123Z"
    assert date_time(-1.0) == "1969-12-31T23:59:59.000Z"
