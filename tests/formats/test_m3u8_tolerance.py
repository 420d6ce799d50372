"""Playlists that break rules, and that players play: seen by others, and named by their reports."""

from __future__ import annotations

import pytest

from ntvmedia.formats.m3u8 import (
    ByteRange,
    Key,
    MediaPlaylist,
    MultivariantPlaylist,
    Segment,
    Variant,
)
from ntvmedia.formats.m3u8_reader import parse_playlist
from tests.formats.test_m3u8_reader import media, multivariant

_TWO = (Segment("a.ts", 4.0), Segment("b.ts", 4.0))
_TEXT = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts\n"


@pytest.mark.parametrize(
    "data",
    [
        _TEXT.encode(),
        b"\xef\xbb\xbf" + _TEXT.encode(),  # open-m3u8#18: a byte order mark
        _TEXT.encode("utf-16"),  # N_m3u8DL-RE#866
        _TEXT.replace("\n", "\r\n").encode(),
        _TEXT.replace("\n", "\r").encode(),
        _TEXT.replace("\n", "\n\n \t\n").encode(),
        _TEXT.replace("\n", " \n\t").encode(),
        f"\n\r\n  # made by hand\n{_TEXT}".encode(),
        _TEXT.rstrip().encode(),  # no end of the last line
        _TEXT.removeprefix("#EXTM3U\n").encode(),  # livestreamer#258
        _TEXT.replace("#EXTM3U", "#extm3u x-tvg-url=x").encode(),
        _TEXT.replace("#EXTM3U\n", "#EXTM3U\n#EXTM3U\n").encode(),
        _TEXT.replace(":4", ": 4").encode(),  # hls.js#1405, ExoPlayer#1103, ExoPlayer#11230
        _TEXT.replace("4,", "4").encode(),  # grafov/m3u8#84, Vimeo's
        _TEXT.replace("4,", "4.0,a title, with comma").encode(),
        _TEXT.replace("DURATION:4", "DURATION:4.0").encode(),  # livestreamer#487
        _TEXT.replace("DURATION:4", "DURATION:").encode(),
        _TEXT.replace("#EXT-X-TARGETDURATION:4\n", "").encode(),
        _TEXT.replace("DURATION:4", "DURATION:1").encode(),  # mediamtx#448
        _TEXT.replace("DURATION:4", "DURATION:-5").encode(),
        # open-m3u8#62: a line end went missing
        _TEXT.replace("#EXT-X-TARGET", "#EXT-X-ALLOW-CACHE:YES#EXT-X-TARGET").encode(),
        (_TEXT + "#EXTINF:4,\n").encode(),  # cut off before the address
        _TEXT.replace("#EXTINF:4,\nb", "#EXTINF:9,\n#EXTINF:4,\nb").encode(),
        # Addresses without a duration: FFmpeg and hls.js leave them out
        (_TEXT + "stray.ts\n<br /><b>Warning</b>: mysql\n").encode(),
        # A Latin-1 comment, unknown tags, tags of others
        _TEXT.encode() + b"# caf\xe9\n#EXT-X-CUE-OUT:30\n#EXT-OATCLS-SCTE35:/DA\n#EXTINFX:3\n",
        _TEXT.replace("#EXTINF", "#USP-X-TIMESTAMP-MAP:MPEGTS=1\n## splice\n#EXTINF").encode(),
        _TEXT.replace("#EXTINF", "#ExtInf").encode(),
        _TEXT.encode() + b"\0\0\0\n",
    ],
)
def test_odd_text(data: bytes) -> None:
    """The same two segments, however they were written."""
    playlist = parse_playlist(data)
    assert isinstance(playlist, MediaPlaylist)
    assert playlist.segments == _TWO
    assert playlist.target_duration == 4.0


def test_other_encoding() -> None:
    """RFC 8216bis 4.1 wants UTF-8; names in Latin-1 are not lost for it."""
    playlist = parse_playlist(_TEXT.replace("a.ts", "é.ts").encode("latin-1"))
    assert isinstance(playlist, MediaPlaylist)
    assert playlist.segments[0].uri == "é.ts"


def test_line_ends() -> None:
    """RFC 8216bis 4.1: only LF and CR end a line; androidx/media#2420: a form feed does not."""
    uri = "a\x0b\x0c\x1c\x85\u2028b.ts"
    assert [x.uri for x in media("#EXTINF:4,", uri).segments] == [uri]


@pytest.mark.parametrize(
    ("value", "duration"),
    [
        ("-26.365,", 0.0),  # ExoPlayer#4192
        ("-1,", 0.0),
        ("nan,", 0.0),
        ("inf,", 0.0),
        ("1e400,", 0.0),
        ("99999999999,", 0.0),
        ("9" * 5000 + ",", 0.0),
        (",", 0.0),
        ("", 0.0),
        ("abc,", 0.0),
        (".640,", 0.64),  # hls.js#861
        ("1.0e-05,", 1e-05),  # sethdeckard/m3u8#58
        ("0.000000,", 0.0),  # hls.js#95
        ("+4,", 4.0),
        ("9,967000,", 9.967),  # printf in a locale with a comma
        ("9,967,title", 9.0),
        ("10,1", 10.0),  # a title that is a number
        ("9.5,967,", 9.5),
        ("9,²,", 9.0),
        ('7.5 group-title="x",name', 7.5),  # globocom/m3u8#128
        ("4s,", 4.0),
    ],
)
def test_odd_durations(value: str, duration: float) -> None:
    """What cannot be a duration is 0: the segment is there all the same."""
    assert [x.duration for x in media(f"#EXTINF:{value}", "a.ts").segments] == [duration]


def test_no_target() -> None:
    """hls.js#2043: FFmpeg says 0 of a clip of 0.42 s; it is never 0 here, since lists are reloaded.

    Nor where there is neither a target nor a segment.
    """
    for text in (
        b"#EXT-X-TARGETDURATION:0\n#EXTINF:0.421333,\na.ts\n",
        b"#EXT-X-MEDIA-SEQUENCE:7\n",
        b"#EXT-X-TARGETDURATION:1e400\n",
    ):
        playlist = parse_playlist(b"#EXTM3U\n" + text)
        assert isinstance(playlist, MediaPlaylist)
        assert playlist.target_duration == 1.0


@pytest.mark.parametrize(
    ("value", "number"),
    [("12.0", 12), ("-1", 0), ("", 0), ("x", 0), ("9" * 30, 0), (" 7 ", 7), (str(2**63), 2**63)],
)
def test_odd_numbers(value: str, number: int) -> None:
    """E-SR-08, ExoPlayer#3747: a number that is none is 0, and large ones are no overflow."""
    playlist = media(
        f"#EXT-X-MEDIA-SEQUENCE:{value}", f"#EXT-X-DISCONTINUITY-SEQUENCE:{value}",
        f"#EXT-X-VERSION:{value}",
    )  # fmt: skip
    assert playlist.media_sequence == playlist.discontinuity_sequence == number
    assert playlist.version == (number or 1)


def test_odd_kinds() -> None:
    """ExoPlayer#2889: LIVE is no kind; letters may be small, and a line end may be missing."""
    kinds = ("LIVE", "", "vod", "EVENT ", "VOD#EXT-X-ALLOW-CACHE:YES")
    found = [media(f"#EXT-X-PLAYLIST-TYPE:{x}").kind for x in kinds]
    assert found == ["", "", "VOD", "EVENT", "VOD"]


def test_tags_between() -> None:
    """hls.js#425, hls.js#153: tags in any order between a duration and its address."""
    playlist = media(
        "#EXTINF:9.9683,",
        '#EXT-X-KEY:METHOD=AES-128,URI="crypt-0.key"',
        "#EXT-X-BYTERANGE:7@1",
        "#EXT-X-DISCONTINUITY",
        "a.ts",
        "#EXT-X-BYTERANGE:7",
        "#EXTINF:9.9683,",
        "a.ts",
    )
    key = Key("crypt-0.key", b"")
    assert playlist.segments == (
        Segment("a.ts", 9.9683, None, True, key=key, byte_range=ByteRange(7, 1)),
        Segment("a.ts", 9.9683, key=key, byte_range=ByteRange(7, 8)),
    )


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('METHOD=AES-128,URI="a",IV=0X1', Key("a", bytes(15) + b"\1")),
        ('METHOD=AES-128,URI="a",IV="0xABC"', Key("a", bytes(14) + b"\x0a\xbc")),
        ('METHOD=AES-128,URI="a",IV=', Key("a", b"")),
        ("METHOD=aes-128, URI=a", Key("a", b"")),
        ('METHOD="AES-128",URI="a",KEYFORMAT=""', Key("a", b"")),
        ('URI="a"', Key("a", b"")),
        ("METHOD=AES-128", Key("", b"")),  # the user may have the key
        ('METHOD=SAMPLE-AES-CTR,URI="a"', Key("a", b"", "SAMPLE-AES-CTR")),
        ('METHOD=NONE,URI="a",IV=0x1', None),
        ("METHOD=none", None),
    ],
)
def test_odd_keys(value: str, key: Key | None) -> None:
    """RFC 8216bis 4.4.4.4, and what players forgive."""
    assert media(f"#EXT-X-KEY:{value}", "#EXTINF:4,", "a.ts").segments[0].key == key


def test_odd_variants() -> None:
    """BANDWIDTH=None, lost addresses, blank lines and comments before the address."""
    playlist = multivariant(
        "",
        "#EXT-X-STREAM-INF:BANDWIDTH=6535804",  # flutter_hls_parser#35
        "#EXT-X-STREAM-INF:BANDWIDTH=None,RESOLUTION=426x240,FRAME-RATE=-1",  # betterplayer#27
        "",
        "# a comment",
        "#EXT-X-UNKNOWN",
        "240p/video.m3u8",
        "stray.m3u8",
        "#EXT-X-STREAM-INF:PROGRAM-ID=1, BANDWIDTH=1560000.7, RESOLUTION=640X360,"
        'CODECS=" mp4a.40.2, avc1.4d4015,", CLOSED-CAPTIONS=NONE',  # hls_m3u8#64, hls.js#133
        "360p.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",  # cut off
    )
    assert playlist.variants == (
        Variant("240p/video.m3u8", 0, width=426, height=240),
        Variant("360p.m3u8", 1560000, codecs=("mp4a.40.2", "avc1.4d4015"), width=640, height=360),
    )


def test_both_kinds() -> None:
    """RFC 8216bis 4.1 has them apart: with a segment in it, it is a media playlist.

    A tag of media playlists alone does not make one of a list of variants.
    """
    variant = "#EXT-X-STREAM-INF:BANDWIDTH=1"
    mixed = media(variant, "a.m3u8", "#EXTINF:4,", "a.ts", variant, "#EXTINF:4,", "b.ts")
    assert mixed.segments == _TWO
    playlist = parse_playlist(
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-ENDLIST\n"
    )
    assert playlist == MultivariantPlaylist((Variant("a.m3u8", 1),))
