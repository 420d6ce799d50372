"""Tests of tests.hls.mp4: every rule catches what breaks it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hls.m3u8 import Violation
from tests.hls.mp4 import Init, boxes, nal_units, read_fragments, read_init, specific_info
from tests.hls.mp4_bytes import (
    ASC,
    AUDIO,
    AVCC,
    VIDEO,
    Sample,
    box,
    fragment,
    init_bytes,
    picture,
    sound,
    words,
)

INIT = init_bytes()


def both(number: int = 1, video: int = 90000, audio: int = 8000, **options: Any) -> bytes:
    """Return a fragment of three pictures and two frames of sound."""
    pictures = [picture(0, key=True, offset=7200), picture(1, key=False, offset=-7200)]
    pictures.append(picture(2, key=False))
    runs = {VIDEO: (video, pictures), AUDIO: (audio, [sound(0), sound(1)])}
    return fragment(number, runs, **options)


def test_init() -> None:
    """What an initialisation section says of its tracks."""
    init = read_init(INIT)
    assert init.content_type == "video/mp4"
    video, audio = init.tracks.values()
    assert (video.entry, video.timescale, video.config) == ("avc1", 90000, AVCC)
    assert (video.width, video.height, video.is_video) == (1280, 720, True)
    assert (audio.entry, audio.timescale, audio.channels) == ("mp4a", 8000, 1)
    assert specific_info(audio.config) == (0x40, ASC)
    assert read_init(init_bytes(video=False)).content_type == "audio/mp4"


def test_fragments() -> None:
    """Samples with their times, wherever trun or its defaults have them."""
    init = read_init(INIT)
    found = read_fragments(box("styp", b"msdh") + both() + both(2, 90000 + 21600, 10048), init)
    assert [x.dts for x in found.video] == [90000 + 7200 * x for x in range(6)]
    assert [x.pts - x.dts for x in found.video[:3]] == [7200, -7200, 0]
    assert [x.is_random_access for x in found.video[:3]] == [True, False, False]
    assert found.begins_with_key
    assert [x.dts for x in found.audio] == [90000, 101520, 113040, 124560]
    assert found.sounds[1] == b"\x21<00000001>"
    assert (found.numbers, found.ends) == ([1, 2], {VIDEO: 133200, AUDIO: 12096})
    assert nal_units(found.video[0].payload, 4) == [b"\x65\x88\x84<00000000>"]
    assert found.start == 97200
    assert found.lead == 7200
    more = read_fragments(both(3, 133200, 12096), init)
    more.check_follows(found)
    found.extend(more)
    assert len(found.video) == 9
    assert found.ends == more.ends


@pytest.mark.parametrize(
    ("next_one", "rule"),
    [
        (both(2, 111600, 10048), ""),
        (both(2, 111601, 10048), "tfdt-across"),
        (both(2, 111600, 10047), "tfdt-across"),
        (both(1, 111600, 10048), "mfhd"),
    ],
)
def test_follows(next_one: bytes, rule: str) -> None:
    """C-FM-02, C-FM-03: decode times and numbers go on from one segment to the next."""
    init = read_init(INIT)
    before, after = read_fragments(both(), init), read_fragments(next_one, init)
    if not rule:
        after.check_follows(before)
        return
    with pytest.raises(Violation) as caught:
        after.check_follows(before)
    assert caught.value.rule == rule


def test_follows_without() -> None:
    """A track that has nothing in one segment goes on in the next."""
    init = read_init(INIT)
    first = read_fragments(both(), init)
    second = read_fragments(fragment(2, {VIDEO: (111600, [picture(3, key=True)])}), init)
    second.check_follows(first)
    third = read_fragments(both(3, 118800, 10049), init)
    with pytest.raises(Violation) as caught:
        third.check_follows(second)
    assert caught.value.rule == "tfdt-across"


def swapped(data: bytes, old: str, new: bytes) -> bytes:
    """Return the bytes with some of them, in hex, replaced once."""
    before = bytes.fromhex(old)
    assert before in data
    return data.replace(before, new, 1)


def hexed(text: str) -> str:
    """Return the hex of a text."""
    return text.encode().hex()


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (INIT[:-1], "box"),
        (INIT + b"\0\0\0\x08free", "init"),
        (INIT[INIT.index(b"moov") - 4 :], "init"),
        (INIT.replace(b"iso6", b"mp42").replace(b"cmfc", b"isom"), "ftyp"),
        (INIT.replace(b"trex", b"free", 1), "trex"),
        (INIT.replace(b"mdia", b"edts", 1), "edit-list"),
        (INIT.replace(b"tkhd", b"free", 1), "box-count"),
        (INIT.replace(b"vmhd", b"free", 1), "box-count"),
        (INIT.replace(b"vide", b"text", 1), "hdlr"),
        (INIT.replace(b"avc1", b"avc3", 1), "stsd"),
        (INIT.replace(b"avcC", b"free", 1), "box-count"),
        (INIT.replace(words(1280, 720, size=2), bytes(4), 1), "stsd"),
        (INIT.replace(b"stts" + words(0, 0), b"stts" + words(0, 1), 1), "samples"),
        (INIT.replace(b"trex" + words(0, AUDIO), b"trex" + words(0, 3), 1), "trex"),
        (INIT.replace(words(90000), bytes(4), 1), "mdhd"),
        (INIT.replace(words(7, 0, 0, AUDIO), words(7, 0, 0, VIDEO)), "track-id"),
        (INIT.replace(words(7, 0, 0, VIDEO), words(7, 0, 0, 0)), "track-id"),
    ],
)
def test_wrong_init(data: bytes, rule: str) -> None:
    """Each rule of an initialisation section catches its violation."""
    with pytest.raises(Violation) as caught:
        read_init(data)
    assert caught.value.rule == rule, caught.value


def one(sample: Sample, track: int = VIDEO) -> bytes:
    """Return a fragment of one sample."""
    return fragment(1, {track: (0, [sample])})


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "fragments"),
        (both()[:-1], "box"),
        (both() + b"\0", "box"),
        (both() + box("mdat", b"x"), "fragments"),
        (INIT + both(), "fragments"),
        (both() + both(2), "tfdt"),
        (both(2) + both(1, 111600, 10048), "mfhd"),
        (both(version=0), "tfdt"),
        (fragment(1, {AUDIO: (0, [sound(0)])}, shift=1), "trun"),
        (fragment(1, {AUDIO: (0, [sound(0)])}, shift=-1), "mdat"),
        (both().replace(b"mfhd", b"free"), "box-count"),
        (both().replace(b"tfhd" + words(0x020000), b"tfhd" + words(0x000000), 1), "tfhd"),
        (both().replace(b"tfhd" + words(0x020000, 1), b"tfhd" + words(0x020000, 7)), "track-id"),
        (both().replace(b"trun" + words(0x01000F01), b"trun" + words(0x00000F01), 1), "trun"),
        (both().replace(b"trun" + words(0x01000F01), b"trun" + words(0x01000B01), 1), "trun"),
        (one(picture(0, 0, key=True)), "duration-zero"),
        (one(Sample(b"", 1)), "size-zero"),
        (one(picture(0, key=True)._replace(sync=False)), "sync"),
        (one(picture(0, key=False)._replace(sync=True)), "sync"),
        (one(Sample(words(2) + b"\x67\x64" + words(1) + b"\x65", 1)), "sets-inside"),
        (one(Sample(words(9) + b"\x65\x88", 1)), "nal"),
        (one(Sample(b"\0\0\0\1\x65\x88", 1)), "box"),  # Annex B
        (one(sound(0)._replace(sync=False), AUDIO), "sync"),
        (one(Sample(b"\xff\xf1\x6c\x40", 1024), AUDIO), "adts"),
        (fragment(1, {VIDEO: (0, [])}), "empty"),
        (fragment(1, {VIDEO: (0, [picture(0, key=True)])}).replace(b"traf", b"free"), "mdat"),
    ],
)
def test_wrong_fragments(data: bytes, rule: str) -> None:
    """C-FM-01 to C-FM-03: each rule of a fragment catches its violation."""
    with pytest.raises(Violation) as caught:
        read_fragments(data, read_init(INIT))
    assert caught.value.rule == rule, caught.value


def test_defaults() -> None:
    """Durations, sizes and flags may come from trex, tfhd or the flags of the first sample."""
    init = read_init(INIT)
    track = init.tracks[VIDEO]
    nals = [picture(x, key=x == 0).payload for x in range(2)]
    head = box("tfhd", words(0x020038, VIDEO, 7200, len(nals[0]), 0x01010000))
    decode = box("tfdt", words(1 << 24), words(9, size=8))
    for offset in range(2):
        run = words(1 << 24 | 0x005, 2, offset, 0x02000000)
        movie = box("moof", box("mfhd", words(0, 1)), box("traf", head, decode, box("trun", run)))
        run = words(1 << 24 | 0x005, 2, len(movie) + 8, 0x02000000)
        movie = box("moof", box("mfhd", words(0, 1)), box("traf", head, decode, box("trun", run)))
    found = read_fragments(movie + box("mdat", *nals), init)
    assert [(x.dts, x.is_random_access) for x in found.video] == [(9, True), (7209, False)]
    defaults = Init(init.brands, {VIDEO: track})
    assert defaults.content_type == "video/mp4"
    assert [x.kind for x in boxes(movie)] == ["moof"]
