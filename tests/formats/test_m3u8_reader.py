"""Playlists as RFC 8216bis has them, read; and what cannot be guessed."""

from __future__ import annotations

from time import process_time

import pytest

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import m3u8_reader
from ntvmedia.formats.m3u8 import (
    ByteRange,
    Key,
    Map,
    MediaPlaylist,
    MultivariantPlaylist,
    Rendition,
    Segment,
    Variant,
)
from ntvmedia.formats.m3u8_reader import MAX_SEGMENTS, ChannelList, parse_playlist


def media(*lines: str) -> MediaPlaylist:
    """Read a media playlist of these lines below a header."""
    text = "\n".join(("#EXTM3U", "#EXT-X-TARGETDURATION:10", *lines, ""))
    playlist = parse_playlist(text.encode())
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def multivariant(*lines: str) -> MultivariantPlaylist:
    """Read a multivariant playlist of these lines below the first."""
    playlist = parse_playlist("\n".join(("#EXTM3U", *lines, "")).encode())
    assert isinstance(playlist, MultivariantPlaylist)
    return playlist


def test_simple() -> None:
    """RFC 8216bis 9.1: a list that is over, its last segment the shortest."""
    playlist = parse_playlist(
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-VERSION:3\n"
        b"#EXTINF:9.009,\nhttp://media.example.com/first.ts\n"
        b"#EXTINF:9.009,\nhttp://media.example.com/second.ts\n"
        b"#EXTINF:3.003,\nhttp://media.example.com/third.ts\n#EXT-X-ENDLIST\n"
    )
    assert playlist == MediaPlaylist(
        (
            Segment("http://media.example.com/first.ts", 9.009),
            Segment("http://media.example.com/second.ts", 9.009),
            Segment("http://media.example.com/third.ts", 3.003),
        ),
        10.0,
        ended=True,
        version=3,
        duration_step=0.001,
    )


def test_live() -> None:
    """RFC 8216bis 9.2: a window of a live list."""
    playlist = parse_playlist(
        b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:2680\n\n"
        b"#EXTINF:7.975,\nhttps://priv.example.com/fileSequence2680.ts\n"
        b"#EXTINF:7.941,\nhttps://priv.example.com/fileSequence2681.ts\n"
    )
    assert isinstance(playlist, MediaPlaylist)
    assert (playlist.media_sequence, playlist.ended, playlist.kind) == (2680, False, "")
    assert [x.duration for x in playlist.segments] == [7.975, 7.941]


def test_encrypted() -> None:
    """RFC 8216bis 9.3: a key holds until the next; without a vector it is the number's."""
    playlist = media(
        "#EXT-X-MEDIA-SEQUENCE:7794",
        '#EXT-X-KEY:METHOD=AES-128,URI="https://priv.example.com/key.php?r=52"',
        "#EXTINF:2.833,",
        "fileSequence52-A.ts",
        "#EXTINF:15.0,",
        "fileSequence52-B.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="https://priv.example.com/key.php?r=53",IV=0x1a',
        "#EXTINF:15.0,",
        "fileSequence53-A.ts",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXTINF:1.0,",
        "clear.ts",
    )
    first = Key("https://priv.example.com/key.php?r=52", b"")
    other = Key("https://priv.example.com/key.php?r=53", bytes(15) + b"\x1a")
    assert [x.key for x in playlist.segments] == [first, first, other, None]
    assert playlist.target_duration == 15.0  # which the example in the draft has wrong, too


def test_multivariant() -> None:
    """RFC 8216bis 9.6: alternative sounds, one of them in no list of its own."""
    playlist = multivariant(
        "#EXT-X-VERSION:4",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",DEFAULT=YES,AUTOSELECT=YES,'
        'LANGUAGE="en",URI="main/english-audio.m3u8"',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Commentary",DEFAULT=NO,AUTOSELECT=NO,'
        'LANGUAGE="en",CHANNELS="6/JOC"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="fr",FORCED=YES,URI="fr.m3u8"',
        '#EXT-X-MEDIA:TYPE=CHAPTERS,GROUP-ID="c",NAME="unknown"',
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI="low/iframe.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.64001f, '
        'mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="aac",'
        'VIDEO="v",SUBTITLES="s",NAME="720p"',
        "low/video-only.m3u8",
        '#EXT-X-STREAM-INF:BANDWIDTH=65000,CODECS="mp4a.40.5"',
        "main/english-audio.m3u8",
    )
    assert playlist == MultivariantPlaylist(
        (
            Variant(
                "low/video-only.m3u8",
                1280000,
                1000000,
                ("avc1.64001f", "mp4a.40.2"),
                1280,
                720,
                29.97,
                "aac",
                "v",
                "s",
                "720p",
                "SDR",
            ),
            Variant("main/english-audio.m3u8", 65000, codecs=("mp4a.40.5",)),
        ),
        (
            Rendition("aac", "English", "en", 0, True, "main/english-audio.m3u8"),
            Rendition("aac", "Commentary", "en", 6, autoselect=False),
            Rendition("s", "fr", uri="fr.m3u8", kind="SUBTITLES", autoselect=False, forced=True),
        ),
        4,
    )


def test_of_the_whole_list() -> None:
    """RFC 8216bis 4.4.2, 4.4.3: tags that apply to the whole list, wherever they stand."""
    playlist = media(
        "#EXT-X-ENDLIST",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-DISCONTINUITY-SEQUENCE:3",
        "#EXT-X-START:TIME-OFFSET=-12.5,PRECISE=YES",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXTINF:4,title",
        "a.ts",
    )
    assert playlist.kind == "EVENT"
    assert (playlist.discontinuity_sequence, playlist.ended) == (3, True)
    assert (playlist.start_seconds, playlist.start_precise) == (-12.5, True)
    assert media("#EXT-X-PLAYLIST-TYPE:VOD").kind == "VOD"


def test_begun() -> None:
    """A live list may have no segment yet."""
    playlist = media("#EXT-X-MEDIA-SEQUENCE:0")
    assert playlist == MediaPlaylist((), 10.0)


def test_byte_ranges() -> None:
    """RFC 8216bis 4.4.4.2: without an offset a range follows the last of the same resource."""
    playlist = media(
        '#EXT-X-MAP:URI="a.mp4",BYTERANGE="700@0"',
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:100@700",
        "a.mp4",
        "#EXT-X-BYTERANGE:200",
        "#EXTINF:4,",
        "a.mp4",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:50@5",
        "b.mp4",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:10",
        "a.mp4",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:7",
        "c.mp4",
        "#EXTINF:4,",
        "whole.mp4",
    )
    assert [x.byte_range for x in playlist.segments] == [
        ByteRange(100, 700),
        ByteRange(200, 800),
        ByteRange(50, 5),
        ByteRange(10, 1000),
        ByteRange(7, 0),  # where players begin, though the draft has it fail
        None,  # yt-dlp#11972: neither that of the init segment nor one before
    ]
    assert {x.map for x in playlist.segments} == {Map("a.mp4", ByteRange(700, 0))}


def test_empty_range() -> None:
    """There is nothing to load of no bytes: HTTP cannot even ask for them."""
    playlist = media("#EXT-X-BYTERANGE:0@7", "#EXTINF:4,", "a.ts", "#EXTINF:4,", "b.ts")
    assert [x.gap for x in playlist.segments] == [True, False]


def test_init_segments() -> None:
    """RFC 8216bis 4.4.4.5: a key before the tag is that of the init segment too."""
    playlist = media(
        '#EXT-X-MAP:URI="clear.mp4"',
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x1',
        "#EXTINF:4,",
        "a.m4s",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="hidden.mp4"',
        "#EXTINF:4,",
        "b.m4s",
    )
    key = Key("1.key", bytes(15) + b"\1")
    assert playlist.segments == (
        Segment("a.m4s", 4.0, map=Map("clear.mp4"), key=key),
        Segment("b.m4s", 4.0, None, True, map=Map("hidden.mp4", None, key), key=key),
    )


def test_keys_of_several_formats() -> None:
    """RFC 8216bis 4.4.4.4: they hold side by side; a key that can be had as it is wins."""
    fairplay = 'METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"'
    playlist = media(
        f'#EXT-X-KEY:{fairplay},KEYFORMATVERSIONS="1"',
        "#EXTINF:4,",
        "a.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="1.key",KEYFORMAT="identity"',
        f"#EXT-X-KEY:{fairplay}",
        "#EXTINF:4,",
        "b.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="2.key"',
        "#EXTINF:4,",
        "c.ts",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXTINF:4,",
        "d.ts",
        f"#EXT-X-KEY:{fairplay}",
        "#EXTINF:4,",
        "e.ts",
    )
    other = Key("skd://x", b"", "SAMPLE-AES", "com.apple.streamingkeydelivery")
    expected = [other, Key("1.key", b""), Key("2.key", b""), None, other]
    assert [x.key for x in playlist.segments] == expected


def test_dates() -> None:
    """RFC 8216bis 4.4.4.6: what follows a date is counted on; a discontinuity ends that."""
    playlist = media(
        "#EXTINF:4,",
        "before.ts",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:40.500Z",
        "#EXTINF:4,",
        "dated.ts",
        "#EXT-X-GAP",
        "#EXTINF:2.25,",
        "gap.ts",
        "#EXTINF:4,",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:03:20Z",
        "again.ts",
        "#EXT-X-DISCONTINUITY",
        "#EXTINF:4,",
        "unknown.ts",
        "#EXTINF:4,",
        "still.ts",
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:05:00Z",
        "#EXT-X-DISCONTINUITY",
        "#EXTINF:4,",
        "known.ts",
        "#EXT-X-PROGRAM-DATE-TIME:soon",
        "#EXTINF:4,",
        "counted.ts",
    )
    assert [x.wall_seconds for x in playlist.segments] == [
        None, 100.5, 104.5, 200.0, None, None, 300.0, 304.0,
    ]  # fmt: skip
    assert [x.uri for x in playlist.segments if x.discontinuity] == ["unknown.ts", "known.ts"]
    assert [x.uri for x in playlist.segments if x.gap] == ["gap.ts"]


def test_low_latency_is_left_out() -> None:
    """RFC 8216bis 4.4.4.9, 4.4.5: parts, hints, reports, date ranges, and what is being made."""
    playlist = media(
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0",
        "#EXT-X-PART-INF:PART-TARGET=0.33334",
        '#EXT-X-PART:DURATION=0.33334,URI="a.0.mp4",INDEPENDENT=YES',
        '#EXT-X-DATERANGE:ID="ad",START-DATE="2020-01-02T21:55:44Z",X-URI="a,b"',
        "#EXT-X-BITRATE:500",
        "#EXTINF:4.00008,",
        "a.mp4",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-PART:DURATION=0.33334,URI="b.0.mp4"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b.1.mp4"',
        '#EXT-X-RENDITION-REPORT:URI="../1M/wait.m3u8",LAST-MSN=273,LAST-PART=2',
    )
    assert playlist.segments == (Segment("a.mp4", 4.00008),)


def test_delta_update() -> None:
    """RFC 8216bis 4.4.5.2: nobody asked for one, and it cannot be read alone."""
    with pytest.raises(PeerError, match="line 3: it is a delta update"):
        media("#EXT-X-SKIP:SKIPPED-SEGMENTS=3", "#EXTINF:4,", "a.ts")


def test_variables() -> None:
    """RFC 8216bis 4.3, 9.11: in addresses and attributes, of the list, its address, its parent."""
    parent = parse_playlist(
        b'#EXTM3U\n#EXT-X-DEFINE:NAME="auth",VALUE="/aBc/"\n#EXT-X-DEFINE:QUERYPARAM="q"\n'
        b"#EXT-X-STREAM-INF:BANDWIDTH=1\n{$auth}low.m3u8?q={$q}\n",
        "https://example.com/a.m3u8?q=7",
    )
    assert isinstance(parent, MultivariantPlaylist)
    assert parent.variants[0].uri == "/aBc/low.m3u8?q=7"
    assert parent.variables == {"auth": "/aBc/", "q": "7"}
    text = (
        b'#EXTM3U\n#EXT-X-DEFINE:IMPORT="auth"\n#EXT-X-DEFINE:NAME="k",VALUE="{$auth}k"\n'
        b'#EXT-X-KEY:METHOD=AES-128,URI="{$k}"\n#EXTINF:4,\nhttp://h{$auth}a.ts\n'
    )
    playlist = parse_playlist(text, variables=parent.variables)
    assert isinstance(playlist, MediaPlaylist)
    assert playlist.segments == (Segment("http://h/aBc/a.ts", 4.0, key=Key("/aBc/k", b"")),)
    with pytest.raises(PeerError, match="line 3: the variable auth is not defined"):
        parse_playlist(text)
    # Where nothing is defined, braces are only braces.
    assert media("#EXTINF:4,", "{$a}.ts").segments[0].uri == "{$a}.ts"


@pytest.mark.parametrize(
    ("durations", "step"),
    [
        (("10", "4"), 1.0),
        (("9.967", "10"), 0.001),
        (("9.5", "9.967"), 0.1),
        (("2.000000", "2.040000"), 1e-6),
        (("4.",), 1.0),
        (("1.0123456789012",), 1e-9),
    ],
)
def test_duration_step(durations: tuple[str, ...], step: float) -> None:
    """How exact durations can be is told from their decimals."""
    lines = [line for x in durations for line in (f"#EXTINF:{x},", "a.ts")]
    assert media(*lines).duration_step == step


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "neither segments nor variants"),
        ("a.mp3\n", "neither segments nor variants"),  # globocom/m3u8#244
        ('#EXT-X-MEDIA:TYPE=AUDIO,URI="a"\n', "neither segments nor variants"),
        # globocom/m3u8#256, open-m3u8#22
        ('#EXTINF:-1 tvg-id="x" group-title="News",TV\nhttp://h/1105.m3u8\n', "channels"),
    ],
)
def test_no_list_of_media(text: str, what: str) -> None:
    """Lists of songs and of channels, which have the same ending, are not for streaming."""
    with pytest.raises(PeerError, match=what) as raised:
        parse_playlist(f"#EXTM3U\n{text}".encode())
    assert isinstance(raised.value, ChannelList) == (what == "channels")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("#EXT-X-MAP:BYTERANGE=7@8", "EXT-X-MAP without an address"),
        ('#EXT-X-MAP:URI="a",BYTERANGE="x"', "'x' is no byte range"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0xnone', "IV=0xnone is no 128 bits"),
    ],
)
def test_not_guessed(line: str, what: str) -> None:
    """What would load or decrypt something else than was meant is refused, with its line."""
    with pytest.raises(PeerError, match=f"^line 4: {what}"):
        media("", line, "#EXTINF:4,", "a.ts")
    with pytest.raises(PeerError, match=r"^line 5: 'all' is no byte range"):
        media("#EXT-X-BYTERANGE:all", "#EXTINF:4,", "a.ts")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limits say, and not one more."""
    monkeypatch.setattr(m3u8_reader, "MAX_SEGMENTS", 3)
    monkeypatch.setattr(m3u8_reader, "MAX_ALTERNATIVES", 3)
    assert len(media(*["#EXTINF:4,", "a.ts"] * 3).segments) == 3
    with pytest.raises(LimitExceeded, match="too many segments") as caught:
        media(*["#EXTINF:4,", "a.ts"] * 4)
    assert caught.value.limit == 3
    sound, variant = "#EXT-X-MEDIA:TYPE=AUDIO", ("#EXT-X-STREAM-INF:BANDWIDTH=1", "a.m3u8")
    assert len(multivariant(sound, sound, *variant).renditions) == 2
    for lines in ((sound, sound, sound, *variant), (sound, *variant, *variant, sound)):
        with pytest.raises(LimitExceeded, match="too many variants"):
            multivariant(*lines)


def test_long() -> None:
    """A list of the most segments there may be is read, in a time that is linear."""
    assert MAX_SEGMENTS == 200_000
    lines = [line for x in range(MAX_SEGMENTS) for line in ("#EXTINF:4.004,", f"{x}.ts")]
    start = process_time()
    assert len(media(*lines).segments) == MAX_SEGMENTS
    assert process_time() - start < 20  # no figure: what is not linear takes minutes
