"""Tests of ntvmedia.clients.hls.choosing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ntvmedia.clients.hls.choosing import Choice, choose, has_pictures, unreadable
from ntvmedia.errors import RemoteError
from ntvmedia.formats.m3u8 import MultivariantPlaylist, Rendition, Variant
from ntvmedia.formats.m3u8_reader import parse_playlist

# The example of RFC 8216 8.4 with codecs as in 8.6 and the Apple HLS authoring specification.
APPLE = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Commentary",AUTOSELECT=NO,URI="c.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",AUTOSELECT=YES,LANGUAGE="de",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",DEFAULT=YES,LANGUAGE="en",URI="en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="other",NAME="Best",DEFAULT=YES,URI="best.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="aac",NAME="English",DEFAULT=YES,URI="text.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="aac"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=7680000,CODECS="avc1.640028,mp4a.40.2",AUDIO="aac"
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="dvh1.05.06,ec-3",AUDIO="aac"
dolby.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=9900000,CODECS="mp4a.40.5",AUDIO="aac"
sound.m3u8
"""


def uris(playlist: MultivariantPlaylist) -> tuple[str, str]:
    """Return the addresses of what is chosen; empty for no sound of its own."""
    choice = choose(playlist)
    return choice.variant.uri, choice.audio.uri if choice.audio else ""


def one(name: str = "v", bandwidth: int = 1, **fields: Any) -> Variant:
    """Return a variant."""
    return Variant(name, bandwidth, **fields)


def test_example() -> None:
    """E-SR-08: the best that can be read, with pictures, and the sound that players begin with."""
    playlist = parse_playlist(APPLE)
    assert isinstance(playlist, MultivariantPlaylist)
    assert uris(playlist) == ("high.m3u8", "en.m3u8")


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ((one("a", 1), one("b", 2)), "b"),
        ((one("a", 2), one("b", 2)), "a"),  # of equal ones the first
        ((one("a", 0), one("b", 0)), "a"),
        ((one("a", 9, codecs=("mp4a.40.2",)), one("b", 1, codecs=("AVC1.42c00a",))), "b"),
        ((one("a", 9, codecs=("mp4a.40.2",), height=720), one("b", 1)), "a"),
        ((one("a", 9, codecs=("av99",)), one("b", 1)), "b"),
        ((one("a", 1, codecs=("hvc1.1", "wvtt")), one("b", 2, codecs=("theora",))), "a"),
    ],
)
def test_variants(variants: tuple[Variant, ...], expected: str) -> None:
    """E-SR-08: pictures count most, then bits; what is not known is not taken."""
    assert uris(MultivariantPlaylist(variants)) == (expected, "")


@pytest.mark.parametrize(
    ("sounds", "expected"),
    [
        ((), ""),
        ((Rendition("g", "in the variant", is_default=True), Rendition("g", "b", uri="b")), ""),
        ((Rendition("g", "a", uri="a", autoselect=False), Rendition("g", "b", uri="b")), "b"),
        ((Rendition("g", "a", uri="a"), Rendition("g", "b", uri="b")), "a"),
        ((Rendition("other", "a", uri="a", is_default=True), Rendition("g", "b", uri="b")), "b"),
        ((Rendition("g", "a", uri="a", kind="SUBTITLES"),), ""),
    ],
)
def test_sounds(sounds: tuple[Rendition, ...], expected: str) -> None:
    """The default one of its group, or one that may be chosen by itself, or the first."""
    playlist = MultivariantPlaylist((one(audio="g"),), sounds)
    assert uris(playlist) == ("v", expected)
    # A variant that names no group has its sound in it.
    assert uris(MultivariantPlaylist((one(),), sounds)) == ("v", "")


def test_nothing() -> None:
    """E-ST-05: it is told what there is instead, in a line of bounded length; that lasts."""
    with pytest.raises(RemoteError, match="lists no variants") as raised:
        choose(MultivariantPlaylist((), (Rendition("g", "a", uri="a"),)))
    assert raised.value.is_permanent
    many = tuple(one(codecs=(f"x{n}" + "y" * 1000, "mp4a.40.2")) for n in range(500))
    with pytest.raises(RemoteError, match="codecs that are not known: x0yyy") as raised:
        choose(MultivariantPlaylist(many))
    assert raised.value.is_permanent
    assert "mp4a" not in str(raised.value)
    assert len(str(raised.value)) < 200


VARIANTS = st.builds(
    one,
    st.sampled_from("abc"),
    st.integers(0, 4),
    codecs=st.lists(
        st.sampled_from(["avc1.64", "HEV1.1", "mp4a.40.2", "opus", "wvtt", "dvh1", ""]) | st.text(),
        max_size=3,
    ).map(tuple),
    height=st.sampled_from([0, 0, 720]),
    audio=st.sampled_from(["", "g", "h"]),
)
SOUNDS = st.builds(
    Rendition,
    st.sampled_from("gh"),
    st.text(max_size=3),
    is_default=st.booleans(),
    uri=st.sampled_from(["", "s"]),
    kind=st.sampled_from(["AUDIO", "VIDEO"]),
    autoselect=st.booleans(),
)


@given(st.lists(VARIANTS, max_size=5).map(tuple), st.lists(SOUNDS, max_size=4).map(tuple))
def test_laws(variants: tuple[Variant, ...], sounds: tuple[Rendition, ...]) -> None:
    """Whatever a list says, what is chosen is in it and can be read; or that is told."""
    try:
        choice: Choice = choose(MultivariantPlaylist(variants, sounds))
    except RemoteError as error:
        assert error.is_permanent
        assert all(unreadable(variant) for variant in variants)
        return
    assert choice.variant in variants
    assert not unreadable(choice.variant)
    rivals = [x for x in variants if not unreadable(x)]
    assert has_pictures(choice.variant) == any(map(has_pictures, rivals))
    if choice.audio is not None:
        assert choice.audio in sounds
        assert (choice.audio.group, choice.audio.kind) == (choice.variant.audio, "AUDIO")
        assert choice.audio.uri
