"""Tests of ntvmedia.formats.fmp4_boxes, fmp4_fragment and fmp4_language."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats.fmp4_boxes import (
    NOT_SYNC,
    SYNC,
    SampleEntry,
    TrackHeader,
    box,
    file_type,
    full_box,
    movie,
)
from ntvmedia.formats.fmp4_fragment import Run, build_fragment
from ntvmedia.formats.fmp4_language import Language, language
from ntvmedia.media import MediaKind
from tests.formats import mp4_runs

H = bytes.fromhex
MATRIX = H("00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000")

PICTURES = TrackHeader(1, MediaKind.VIDEO, 90000, SampleEntry(box(b"avc1"), 1920, 1080))
SOUND = TrackHeader(2, MediaKind.AUDIO, 48000, SampleEntry(box(b"mp4a")), "eng", "en-GB")


def test_box() -> None:
    """ISO/IEC 14496-12 section 4.2: size and type; version and flags."""
    assert box(b"free", b"ab", b"c") == H("0000000b") + b"freeabc"
    assert full_box(b"smhd", 1, 0x020304, b"x") == H("0000000d") + b"smhd" + H("01020304") + b"x"


def test_file_type() -> None:
    """RFC 8216 section 4.3.2.5: a brand of "iso6" or higher."""
    assert file_type() == H("00000018") + b"ftypiso6" + bytes(4) + b"iso6mp41"
    assert file_type([b"av01"])[:4] == H("0000001c")
    assert file_type([b"av01"]).endswith(b"iso6mp41av01")


def test_movie_header() -> None:
    """ISO/IEC 14496-12 sections 8.2.2 and 8.8.3, byte by byte."""
    moov = mp4_runs.inside(movie([PICTURES, SOUND]), b"moov")
    assert [kind for kind, _body in mp4_runs.boxes(moov)] == [b"mvhd", b"trak", b"trak", b"mvex"]
    mvhd = H("00000000 00000000 00000000 000003e8 00000000 00010000 0100") + bytes(10) + MATRIX
    assert mp4_runs.inside(moov, b"mvhd") == mvhd + bytes(24) + H("00000003")
    assert mp4_runs.inside(moov, b"mvex") == (
        H("00000020") + b"trex" + H("00000000 00000001 00000001 00000000 00000000 01010000")
        + H("00000020") + b"trex" + H("00000000 00000002 00000001 00000000 00000000 02000000")
    )  # fmt: skip


def test_track_of_pictures() -> None:
    """ISO/IEC 14496-12 sections 8.3.2, 8.4.2, 8.4.3, 12.1.2, byte by byte."""
    trak = mp4_runs.inside(movie([PICTURES]), b"moov", b"trak")
    tkhd = H("00000003 00000000 00000000 00000001 00000000 00000000") + bytes(8)
    tkhd += H("0000 0000 0000 0000") + MATRIX + H("07800000 04380000")
    assert mp4_runs.inside(trak, b"tkhd") == tkhd
    mdia = mp4_runs.inside(trak, b"mdia")
    assert [kind for kind, _body in mp4_runs.boxes(mdia)] == [b"mdhd", b"hdlr", b"minf"]
    assert mp4_runs.inside(mdia, b"mdhd") == H(
        "00000000 00000000 00000000 00015f90 00000000 55c4 0000"
    )
    assert mp4_runs.inside(mdia, b"hdlr") == bytes(8) + b"vide" + bytes(12) + b"Video\0"
    minf = mp4_runs.inside(mdia, b"minf")
    assert mp4_runs.inside(minf, b"vmhd") == H("00000001 0000 0000 0000 0000")
    assert mp4_runs.inside(minf, b"dinf") == (
        H("0000001c") + b"dref" + H("00000000 00000001 0000000c") + b"url " + H("00000001")
    )
    stbl = mp4_runs.inside(minf, b"stbl")
    assert stbl == (
        H("00000018") + b"stsd" + H("00000000 00000001 00000008") + b"avc1"
        + H("00000010") + b"stts" + bytes(8)
        + H("00000010") + b"stsc" + bytes(8)
        + H("00000014") + b"stsz" + bytes(12)
        + H("00000010") + b"stco" + bytes(8)
    )  # fmt: skip


def test_track_of_sound() -> None:
    """ISO/IEC 14496-12 sections 8.3.2, 8.4.2, 8.4.6, 12.2.2: volume, language, `elng`."""
    track = SOUND._replace(is_enabled=False, alternate_group=2)
    trak = mp4_runs.inside(movie([track]), b"moov", b"trak")
    tkhd = mp4_runs.inside(trak, b"tkhd")
    assert tkhd[:4] == H("00000002")
    assert tkhd[24:40] == bytes(8) + H("0000 0002 0100 0000")
    assert tkhd[-8:] == bytes(8)
    mdia = mp4_runs.inside(trak, b"mdia")
    # "eng": 5, 14 and 7 in 5 bits each.
    assert mp4_runs.inside(mdia, b"mdhd")[12:] == H("0000bb80 00000000 15c7 0000")
    assert mp4_runs.inside(mdia, b"hdlr") == bytes(8) + b"soun" + bytes(12) + b"Sound\0"
    assert mp4_runs.inside(mdia, b"elng") == bytes(4) + b"en-GB\0"
    assert mp4_runs.inside(mdia, b"minf", b"smhd") == bytes(8)


def test_fragment() -> None:
    """ISO/IEC 14496-12 sections 8.8.4 to 8.8.12: pictures and a sound, byte by byte."""
    pictures = Run(
        1, 1 << 32, [3000, 3000], [3, 2], [SYNC, NOT_SYNC], [6000, -3000 & 0xFFFFFFFF],
        [b"key", b"in"],
    )  # fmt: skip
    sound = Run(2, 1024, [1024, 1030], [1, 1], [SYNC, SYNC], [0, 0], [b"a", b"b"])
    assert build_fragment(7, [pictures, sound]) == (
        H("000000c4") + b"moof"
        + H("00000010") + b"mfhd" + H("00000000 00000007")
        + H("0000005c") + b"traf"
        + H("00000018") + b"tfhd" + H("00020028 00000001 00000bb8 01010000")
        + H("00000014") + b"tfdt" + H("01000000 00000001 00000000")
        + H("00000028") + b"trun" + H("01000a05 00000002 000000cc 02000000")
        + H("00000003 00001770 00000002 fffff448")
        + H("00000050") + b"traf"
        + H("00000018") + b"tfhd" + H("00020030 00000002 00000001 02000000")
        + H("00000014") + b"tfdt" + H("01000000 00000000 00000400")
        + H("0000001c") + b"trun" + H("01000101 00000002 000000d1")
        + H("00000400 00000406")
        + H("0000000f") + b"mdat" + b"keyinab"
    )  # fmt: skip


@dataclass
class Columns:
    """The numbers of a run."""

    durations: list[int]
    sizes: list[int]
    flags: list[int]
    offsets: list[int]


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Draw a run: each column is often the same for all samples."""
    count = draw(st.integers(1, 8))

    def column(numbers: st.SearchStrategy[int]) -> list[int]:
        if draw(st.booleans()):
            return [draw(numbers)] * count
        return draw(st.lists(numbers, min_size=count, max_size=count))

    return Columns(
        column(st.integers(1, 0xFFFFFFFF)),
        column(st.integers(1, 40)),
        column(st.sampled_from([SYNC, NOT_SYNC])),
        column(st.integers(-0x80000000, 0x7FFFFFFF)),
    )


@given(st.lists(columns(), min_size=1, max_size=3), st.integers(0, 0xFFFFFFFF))
def test_any_fragment(drawn: list[Columns], sequence_number: int) -> None:
    """Whatever is the same for all samples and what is not, a reader gets it back."""
    runs = []
    for index, one in enumerate(drawn):
        payloads = [bytes((index * 50 + n,)) * size for n, size in enumerate(one.sizes)]
        offsets = [offset & 0xFFFFFFFF for offset in one.offsets]
        runs.append(
            Run(index + 1, index << 40, one.durations, one.sizes, one.flags, offsets, payloads)
        )
    file = mp4_runs.read(build_fragment(sequence_number, runs))
    assert file.numbers == [sequence_number]
    assert list(file.tracks) == [run.track_id for run in runs]
    for run, one in zip(runs, drawn, strict=True):
        samples = file.tracks[run.track_id].samples
        assert samples[0].dts == run.start
        assert [sample.duration for sample in samples] == one.durations
        assert [sample.flags for sample in samples] == one.flags
        assert [sample.pts - sample.dts for sample in samples] == one.offsets
        assert [sample.payload for sample in samples] == run.payloads


def test_sequence_number_wraps() -> None:
    """C-FM-03: 32 bits are there, and a muxer that lives longer does not fail."""
    run = Run(1, 0, [1], [1], [SYNC], [0], [b"x"])
    assert mp4_runs.read(build_fragment((1 << 32) + 5, [run])).numbers == [5]


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ("", Language("und")),
        ("en", Language("eng", "")),
        ("de", Language("deu", "")),
        ("zh-Hant-TW", Language("zho", "zh-Hant-TW")),
        ("EN-us", Language("eng", "EN-us")),
        ("gsw", Language("gsw", "")),
        ("GSW", Language("gsw", "")),
        ("und", Language("und", "")),
        # Two letters that no language has.
        ("qq", Language("und", "qq")),
        ("i-klingon", Language("und")),
        ("english", Language("und", "english")),
        ("en_GB", Language("und")),
        ("en-", Language("und")),
        ("de\0", Language("und")),
        ("é", Language("und")),
        ("en-" + "a" * 9, Language("und")),
        ("en" + "-a1b2c3" * 10, Language("und")),
    ],
)
def test_language(tag: str, found: Language) -> None:
    """ISO 639-2/T where there is a code, and BCP 47 where that says more; nonsense is not told."""
    assert language(tag) == found


@given(st.text(max_size=80))
def test_any_language(tag: str) -> None:
    """Whatever a publisher calls its language, boxes can be made of it."""
    code, extended = language(tag)
    track = SOUND._replace(language=code, extended_language=extended)
    mdia = mp4_runs.inside(movie([track]), b"moov", b"trak", b"mdia")
    packed = int.from_bytes(mp4_runs.inside(mdia, b"mdhd")[20:22], "big")
    assert "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0)) == code
