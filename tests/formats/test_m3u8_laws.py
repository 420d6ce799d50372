"""Laws of playlists: what was written is read again, and anything else is an error or a list."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError
from ntvmedia.formats.m3u8 import (
    IDENTITY,
    VERSION,
    ByteRange,
    Key,
    LowLatency,
    Map,
    MediaPlaylist,
    MultivariantPlaylist,
    Part,
    Rendition,
    Report,
    Segment,
    Variant,
)
from ntvmedia.formats.m3u8_reader import parse_playlist
from ntvmedia.formats.m3u8_writer import media_playlist, multivariant_playlist
from tests.hls.m3u8 import parse_media

# Whatever has no quote and no line end; what is around it is not part of it.
_TEXTS = st.text(st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"]), max_size=12)
_NAMES = _TEXTS.map(str.strip)
_URIS = _NAMES.filter(lambda x: x != "" and x[0] not in "#\ufeff")

_RANGES = st.builds(ByteRange, st.integers(1, 2**40), st.integers(0, 2**40))
_KEYS = st.builds(
    Key,
    _URIS,
    st.one_of(st.just(b""), st.binary(min_size=16, max_size=16)),
    st.sampled_from(["AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"]),
    st.sampled_from([IDENTITY, "com.apple.streamingkeydelivery"]),
)
_MAPS = st.builds(Map, _URIS, st.none() | _RANGES, st.none() | _KEYS)
_DURATIONS = st.integers(0, 20_000_000).map(lambda x: x / 1e6)


@st.composite
def _segments(draw: st.DrawFn) -> list[Segment]:
    """Draw segments whose init segments, once there are any, are never taken away."""
    is_dated = draw(st.booleans())
    init: Map | None = None
    keys = draw(st.lists(_KEYS, max_size=3))
    maps = draw(st.lists(_MAPS, max_size=3))
    found = []
    for _number in range(draw(st.integers(0, 8))):
        if draw(st.booleans()) and maps:
            init = draw(st.sampled_from(maps))
        found.append(
            Segment(
                draw(_URIS),
                draw(_DURATIONS),
                draw(st.integers(-(10**12), 10**14)) / 1000 if is_dated else None,
                draw(st.booleans()),
                draw(st.booleans()),
                init,
                draw(st.sampled_from([None, *keys])),
                byte_range=draw(st.none() | _RANGES),
            )
        )
    return found


@given(
    _segments(),
    st.integers(20, 10**6),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    st.sampled_from(["", "EVENT", "VOD"]),
)
def test_media_playlists_are_read_back(
    segments: list[Segment], target: int, number: int, discontinuities: int, ended: bool, kind: str
) -> None:
    """All of a media playlist, and nothing else."""
    data = media_playlist(
        segments,
        target_duration=target,
        media_sequence=number,
        discontinuity_sequence=discontinuities,
        ended=ended,
        kind=kind,  # type: ignore[arg-type]  # one of three
    )
    step = 1e-6 if segments else 1.0
    expected = MediaPlaylist(
        tuple(segments), float(target), number, discontinuities, ended, kind,  # type: ignore[arg-type]
        VERSION, duration_step=step,
    )  # fmt: skip
    assert parse_playlist(data) == expected
    assert parse_playlist(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n\r\n")) == expected


_VARIANTS = st.builds(
    Variant,
    _URIS,
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.lists(st.from_regex(r"[a-z0-9.]{1,12}", fullmatch=True), max_size=3).map(tuple),
    *[st.just(0)] * 2,
    st.integers(0, 240_000).map(lambda x: x / 1000),
    *[_TEXTS] * 4,
    st.sampled_from(["", "SDR", "PQ"]),
)
_RENDITIONS = st.builds(
    Rendition,
    _TEXTS,
    _TEXTS,
    _TEXTS,
    st.integers(0, 64),
    st.booleans(),
    _TEXTS,
    st.sampled_from(["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"]),
    st.booleans(),
    st.booleans(),
)


@given(
    st.lists(
        st.tuples(_VARIANTS, st.integers(1, 9999), st.integers(1, 9999)).map(
            lambda x: x[0]._replace(width=x[1], height=x[2])
        )
        | _VARIANTS,
        min_size=1,
        max_size=4,
    ),
    st.lists(_RENDITIONS, max_size=4),
    st.integers(1, 20),
)
def test_multivariant_playlists_are_read_back(
    variants: list[Variant], renditions: list[Rendition], version: int
) -> None:
    """All of a multivariant playlist, and nothing else."""
    data = multivariant_playlist(variants, renditions, version=version)
    expected = MultivariantPlaylist(tuple(variants), tuple(renditions), version)
    assert parse_playlist(data) == expected


def test_as_the_strict_reader_has_it() -> None:
    """A list of low latency, as another author reads it: the segments are the same."""
    key = Key("1.key", bytes(15) + b"\x01")
    parts = (Part("9.0.m4s", 0.5, independent=True), Part("9.1.m4s", 0.5))
    segments = [
        Segment("7.m4s", 2.0, 100.0, map=Map("init0.mp4"), key=key),
        Segment("8.m4s", 1.75, 102.0, True, True, Map("init1.mp4"), key),
        Segment("9.m4s", 1.0, 103.75, map=Map("init1.mp4"), parts=parts),
    ]
    data = media_playlist(
        segments,
        target_duration=2,
        media_sequence=7,
        discontinuity_sequence=3,
        low_latency=LowLatency(
            0.5,
            can_block=True,
            next_segment=Segment(
                "", 0.0, 104.75, map=Map("init1.mp4"), parts=(Part("10.0.m4s", 0.5),)
            ),
            hint="10.1.m4s",
            reports=[Report("../a/index.m3u8", 9, 1)],
        ),
    )
    ours, theirs = parse_playlist(data), parse_media(data)
    assert isinstance(ours, MediaPlaylist)
    assert ours.segments == tuple(x._replace(parts=()) for x in segments)
    assert [
        (x.uri, x.duration, round((x.wall_seconds or 0) * 1000), x.discontinuity, x.gap)
        for x in ours.segments
    ] == [(x.uri, float(x.duration), x.date, x.discontinuity, x.gap) for x in theirs.segments]
    assert [(x.map and x.map.uri, x.key and (x.key.uri, x.key.iv)) for x in ours.segments] == [
        (x.map, x.key and (x.key.uri, x.key.iv)) for x in theirs.segments
    ]
    assert (ours.media_sequence, ours.discontinuity_sequence, ours.target_duration) == (7, 3, 2.0)


_TAGS = (
    "EXTINF",
    "EXT-X-VERSION",
    "EXT-X-DEFINE",
    "EXT-X-START",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-ENDLIST",
    "EXT-X-BYTERANGE",
    "EXT-X-GAP",
    "EXT-X-DISCONTINUITY",
    "EXT-X-KEY",
    "EXT-X-MAP",
    "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-MEDIA",
    "EXT-X-STREAM-INF",
)
_VALUES = st.one_of(
    _TEXTS,
    st.sampled_from(
        [
            '4.004,', '-1,x', "nan", "7@8", "0", '2020-01-01T00:00:00Z', 'NAME="a",VALUE="{$a}b"',
            'METHOD=AES-128,URI="{$a}",IV=0x1', "METHOD=NONE", 'URI="x",BYTERANGE="7"',
            'TYPE=AUDIO,CHANNELS="2"', "BANDWIDTH=1,RESOLUTION=1x1", 'QUERYPARAM="q"',
        ]
    ),
)  # fmt: skip
_LINES = st.one_of(
    st.builds("#{}:{}".format, st.sampled_from(_TAGS), _VALUES),
    st.sampled_from(["a.ts", "b{$a}.ts", "", "#", "#EXTM3U"]),
    _TEXTS,
)


@settings(max_examples=200)
@given(st.lists(_LINES, max_size=30))
def test_any_lines(lines: list[str]) -> None:
    """Any tags in any order: a list that keeps its promises, or an error that is documented."""
    data = "\n".join(("#EXTM3U", *lines)).encode("utf-8")
    with suppress(PeerError):
        playlist = parse_playlist(data, "http://h/?q=1")
        if isinstance(playlist, MultivariantPlaylist):
            assert playlist.variants
            return
        assert playlist.target_duration > 0
        for segment in playlist.segments:
            assert segment.uri
            assert 0 <= segment.duration <= playlist.target_duration + 0.5
            assert segment.byte_range is None or segment.gap or segment.byte_range.length > 0


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes: an error that is documented, or a list."""
    for beginning in (b"", b"#EXTM3U\n#EXTINF:4\n", b"\xff\xfe#"):
        with suppress(PeerError):
            parse_playlist(beginning + data)
