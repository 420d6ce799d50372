"""Tests of ntvmedia.cli.hls_download.selection."""

from __future__ import annotations

import pytest

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.selection import as_list, choose
from ntvmedia.formats.m3u8 import MultivariantPlaylist, Rendition, Variant

VARIANTS = (
    Variant("720.m3u8", 2_000_000, codecs=("avc1.64001f", "mp4a.40.2"), width=1280, height=720,
            frame_rate=25.0, audio="hi"),
    Variant("1080.m3u8", 5_000_000, codecs=("avc1.640028",), width=1920, height=1080, audio="hi"),
    Variant("720s.m3u8", 3_000_000, width=1280, height=720, audio="lo"),
    Variant("sd.m3u8", 800_000, width=720, height=576),
    Variant("sound.m3u8", 9_000_000, codecs=("mp4a.40.2",), audio="hi"),
)  # fmt: skip
RENDITIONS = (
    Rendition("hi", "Commentary", "en", uri="comments.m3u8", autoselect=False),
    Rendition("hi", "Deutsch", "de-AT", uri="de.m3u8", channels=2),
    Rendition("hi", "English", "en", is_default=True, uri="en.m3u8"),
    Rendition("lo", "English", "en", is_default=True),
    Rendition("lo", "Deutsch", "de", uri="de-lo.m3u8"),
    Rendition("hi", "English", "en", uri="subtitles.m3u8", kind="SUBTITLES"),
)
PLAYLIST = MultivariantPlaylist(VARIANTS, RENDITIONS)


def variant(which: str, *variants: Variant) -> str:
    """Return the address of the chosen variant."""
    playlist = MultivariantPlaylist(variants or VARIANTS, RENDITIONS)
    return choose(playlist, which, []).variant.uri


def sounds(which: str, *audio: str) -> tuple[list[str], bool]:
    """Return the chosen sounds of a variant, and whether its own is one of them."""
    choice = choose(PLAYLIST, which, audio)
    return [x.uri for x in choice.audio], choice.has_muxed_audio


@pytest.mark.parametrize(
    ("which", "uri"),
    [
        ("best", "1080.m3u8"),
        ("BEST", "1080.m3u8"),
        ("worst", "sd.m3u8"),
        ("1", "720.m3u8"),
        ("5", "sound.m3u8"),
        ("720p", "720s.m3u8"),
        ("720P", "720s.m3u8"),
        ("720", "720s.m3u8"),
        ("1080p", "1080.m3u8"),
        ("1920x1080", "1080.m3u8"),
        ("720x576", "sd.m3u8"),
        ("720x576p", "sd.m3u8"),
    ],
)
def test_variant(which: str, uri: str) -> None:
    """The best has the most lines, then the most bits; a number is that of `--list`."""
    assert variant(which) == uri


@pytest.mark.parametrize(
    "which", ["0", "6", "480p", "1280x721", "-1", "", "x", "720i", "1.0", "²", "9" * 5000, "p"]
)
def test_no_such_variant(which: str) -> None:
    """The message says what there is."""
    with pytest.raises(Failed) as caught:
        variant(which)
    message = str(caught.value)
    assert "there is no such variant, but best, worst, 1 (1280x720, 2,000 kb/s), 2 (" in message
    assert message.endswith("5 (9,000 kb/s)")


def test_no_variants() -> None:
    """There may be none at all."""
    for which in ("best", "1"):
        with pytest.raises(Failed, match="no variants"):
            choose(MultivariantPlaylist(()), which, [])


def test_many_variants() -> None:
    """The message does not list hundreds."""
    many = tuple(Variant(f"{i}", 1000 * i) for i in range(1, 500))
    with pytest.raises(Failed) as caught:
        variant("x", *many)
    assert len(str(caught.value)) < 1000
    assert variant("499", *many) == "499"


def test_nothing_known() -> None:
    """A list that tells only bits a second, or nothing."""
    plain = (Variant("a", 100), Variant("b", 300), Variant("c", 200))
    assert (variant("best", *plain), variant("worst", *plain)) == ("b", "a")
    assert variant("best", Variant("a", 0), Variant("b", 0)) in ("a", "b")


def test_sound_alone() -> None:
    """It is neither the best nor the worst, unless there is nothing else."""
    sound = Variant("s", 64_000, codecs=("mp4a.40.2",))
    picture = Variant("p", 50_000, codecs=("avc1.42e01e", "mp4a.40.2"))
    for which in ("best", "worst"):
        assert variant(which, sound, picture) == "p"
        assert variant(which, sound) == "s"
    assert choose(MultivariantPlaylist((sound,)), "best", []).is_audio_only
    assert not choose(MultivariantPlaylist((picture,)), "best", []).is_audio_only
    # Where codecs are not told, nobody knows.
    assert not choose(MultivariantPlaylist((Variant("x", 1),)), "best", []).is_audio_only


@pytest.mark.parametrize(
    ("which", "audio", "found", "muxed"),
    [
        # The default of the variant's group.
        ("1", [], ["en.m3u8"], False),
        # The default is in the variant itself.
        ("3", [], [], True),
        # No group.
        ("4", [], [], True),
        ("4", ["all"], [], True),
        ("1", ["de"], ["de.m3u8"], False),
        ("1", ["DE-at"], ["de.m3u8"], False),
        ("1", ["deutsch"], ["de.m3u8"], False),
        ("1", ["en"], ["comments.m3u8", "en.m3u8"], False),
        ("1", ["commentary"], ["comments.m3u8"], False),
        # In the order of the playlist, each once.
        ("1", ["English", "de", "en"], ["comments.m3u8", "de.m3u8", "en.m3u8"], False),
        ("1", ["all"], ["comments.m3u8", "de.m3u8", "en.m3u8"], False),
        ("3", ["all"], ["de-lo.m3u8"], True),
        ("3", ["de"], ["de-lo.m3u8"], False),
        ("3", ["en"], [], True),
    ],
)
def test_sounds(which: str, audio: list[str], found: list[str], muxed: bool) -> None:
    """By name, language, or all; only those of the variant's group, and no subtitles."""
    assert sounds(which, *audio) == (found, muxed)


def test_default_sound() -> None:
    """Without a default, one that may be chosen by itself; else the first."""
    first = Rendition("g", "a", uri="a", autoselect=False)
    second = Rendition("g", "b", uri="b")
    chosen = Variant("v", 1, audio="g")
    choice = choose(MultivariantPlaylist((chosen,), (first, second)), "best", [])
    assert [x.uri for x in choice.audio] == ["b"]
    choice = choose(MultivariantPlaylist((chosen,), (first,)), "best", [])
    assert [x.uri for x in choice.audio] == ["a"]


def test_group_that_is_not_there() -> None:
    """A group without renditions: the sound is in the variant."""
    choice = choose(MultivariantPlaylist((Variant("v", 1, audio="g"),)), "best", [])
    assert (choice.audio, choice.has_muxed_audio) == ((), True)


@pytest.mark.parametrize(
    ("which", "audio", "known"),
    [
        ("1", "fr", "Commentary (en), Deutsch (de-AT), English (en)"),
        ("1", "d", "Commentary (en), Deutsch (de-AT), English (en)"),
        ("4", "de", "none beside the variant's own"),
    ],
)
def test_no_such_sound(which: str, audio: str, known: str) -> None:
    """The message says what there is."""
    with pytest.raises(Failed) as caught:
        sounds(which, audio)
    assert str(caught.value) == f"--audio {audio}: there is no such sound; there is {known}"


def test_list() -> None:
    """A line each, numbered as `--variant` takes it."""
    lines = [line.split() for line in as_list(PLAYLIST).splitlines()]
    assert lines[0] == ["VARIANT", "SIZE", "RATE", "FRAMES", "CODECS", "SOUNDS"]
    assert lines[1] == ["1", "1280x720", "2,000", "kb/s", "25/s", "avc1.64001f,mp4a.40.2", "hi"]
    assert lines[5] == ["5", "-", "9,000", "kb/s", "-", "mp4a.40.2", "hi"]
    assert lines[6] == []
    assert lines[7] == ["SOUNDS", "NAME", "LANGUAGE", "CHANNELS", "DEFAULT", "PLAYLIST"]
    assert lines[9] == ["hi", "Deutsch", "de-AT", "2", "no", "own"]
    assert lines[11] == ["lo", "English", "en", "-", "yes", "the", "variant's"]
    assert len(lines) == 13


def test_list_is_printable() -> None:
    """Names steer no terminal."""
    wild = "\x1b[31m\x9b\n\u202e"
    playlist = MultivariantPlaylist(
        (Variant(wild, 1, codecs=(wild,), audio=wild),), (Rendition(wild, wild, wild),)
    )
    text = as_list(playlist)
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text.splitlines()) == 5
