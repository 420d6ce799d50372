"""Playlists that FFmpeg wrote, joined, and written as MP4: it decodes to what was encoded."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from ntvmedia.formats.hls_joining import Joiner, Piece, Source, join
from ntvmedia.formats.mp4_muxer import Muxer
from ntvmedia.media import MediaKind
from tests.formats.mp4_files import newer_ffmpeg
from tests.formats.packed_bytes import timestamp

SECONDS = 3
PICTURE = f"testsrc2=size=128x96:rate=25:duration={SECONDS}"
TONE = f"sine=duration={SECONDS}:sample_rate=48000"
LOW_TONE = f"sine=frequency=300:duration={SECONDS}:sample_rate=44100"
X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-g", "25")
B_FRAMES = (*X264, "-bf", "3", "-b_strategy", "0")
PLAIN = (*X264, "-bf", "0")
OPEN = (*X264, "-bf", "2", "-x264-params", "open-gop=1:log-level=none")
X265 = ("-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", "log-level=none:keyint=25")

# Files that are cut into segments, by name.
CLIPS = {
    "b-frames": ("-i", PICTURE, "-f", "lavfi", "-i", TONE, *B_FRAMES, "-c:a", "aac"),
    "plain": ("-i", PICTURE, "-f", "lavfi", "-i", LOW_TONE, *PLAIN, "-c:a", "aac"),
    "open": ("-i", PICTURE, "-f", "lavfi", "-i", TONE, *OPEN, "-c:a", "libmp3lame"),
    "hevc": ("-i", PICTURE, "-f", "lavfi", "-i", TONE, *X265, "-c:a", "ac3"),
    "eac3": ("-i", PICTURE, "-f", "lavfi", "-i", TONE, *PLAIN, "-c:a", "eac3"),
    "pictures": ("-i", PICTURE, *B_FRAMES),
    "sound": ("-i", TONE, "-c:a", "aac"),
}

FORMS = {
    "ts": (),
    "fmp4": ("-hls_segment_type", "fmp4"),
    "ts-ranges": ("-hls_flags", "single_file"),
    "fmp4-ranges": ("-hls_segment_type", "fmp4", "-hls_flags", "single_file"),
    "wrap": ("-output_ts_offset", "95442.2"),
    "pictures-in-pes": ("-hls_segment_options", "omit_video_pes_length=0"),
}


class Frame(NamedTuple):
    """A decoded picture, or a packet of sound: when, in seconds, and what."""

    time: Fraction
    data: bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for clips and playlists, which are made when they are wanted."""
    return tmp_path_factory.mktemp("hls")


def ffmpeg(*options: str) -> None:
    """Run it."""
    command = [newer_ffmpeg(), "-v", "error", "-nostdin", *options]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


def clip(folder: Path, name: str) -> Path:
    """Encode a clip, once."""
    path = folder / f"{name}.mkv"
    if not path.exists():
        ffmpeg("-f", "lavfi", *CLIPS[name], "-bitexact", str(path))
    return path


def playlist(folder: Path, name: str, form: str) -> list[Piece]:
    """Cut a clip into segments of a second, once, and read the playlist."""
    place = folder / f"{name}-{form}"
    if not place.exists():
        place.mkdir()
        cut = ("-map", "0", "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0")
        ffmpeg("-i", str(clip(folder, name)), *cut, *FORMS[form], str(place / "list.m3u8"))
    return list(pieces(place / "list.m3u8"))


def pieces(path: Path) -> Iterator[Piece]:
    """Read a playlist of FFmpeg's."""
    duration, init = 0.0, b""
    span: tuple[int, int] | None = None
    for line in path.read_text().splitlines():
        if line.startswith("#EXTINF:"):
            duration = float(line[8:].partition(",")[0])
        elif line.startswith("#EXT-X-BYTERANGE:"):
            length, _at, offset = line[17:].partition("@")
            span = int(offset), int(offset) + int(length)
        elif line.startswith("#EXT-X-MAP:"):
            name, part = re.findall('"([^"]*)"', line + '""')[:2]
            length, _at, offset = part.partition("@")
            start, size = int(offset or 0), int(length or 1 << 30)
            init = (path.parent / name).read_bytes()[start : start + size]
        elif not line.startswith("#"):
            data = (path.parent / line).read_bytes()
            if span is not None:
                data = data[slice(*span)]
            yield Piece([data[n : n + 10_000] for n in range(0, len(data), 10_000)], init, duration)


def behind(first: list[Piece], *others: list[Piece], announced: bool = True) -> list[Piece]:
    """Put playlists behind one another, with discontinuities."""
    joined = list(first)
    for other in others:
        joined += [other[0]._replace(discontinuity=announced), *other[1:]]
    return joined


def written(joiner: Joiner) -> bytes:
    """Write what is joined as MP4."""
    muxer = Muxer()
    media = [part for packet in joiner for part in muxer.packet(packet)]
    media += muxer.finish()
    assert muxer.left_out == 0
    assert abs(muxer.duration_seconds - joiner.duration_seconds) < 0.05
    return muxer.header() + b"".join(media)


def pictures(source: bytes | Path) -> list[Frame]:
    """Decode the pictures of a file with FFmpeg; times are from the first one."""
    found: list[Frame] = []
    with opened(source) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            found.append(Frame(frame.pts * frame.time_base, _samples(frame)))
    return [Frame(one.time - found[0].time, one.data) for one in found]


def _samples(frame: av.VideoFrame) -> bytes:
    """Return what is seen of a picture: its lines without what fills them up."""
    rows = b""
    for plane in frame.planes:
        data, size = bytes(plane), plane.line_size
        rows += b"".join(data[y * size : y * size + plane.width] for y in range(plane.height))
    return rows


def opened(source: bytes | Path) -> av.container.InputContainer:
    """Open a file with FFmpeg."""
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), "r")


def sound(source: bytes | Path) -> list[Frame]:
    """Read the packets of sound of a file with FFmpeg's demuxer."""
    found: list[Frame] = []
    with opened(source) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert stream.time_base is not None
                found.append(Frame(packet.pts * stream.time_base, bytes(packet)))
    return found


def begins(source: bytes | Path, kind: str) -> Fraction:
    """Return when the first packet of a kind is presented, in seconds."""
    with opened(source) as container:
        stream = next(one for one in container.streams if one.type == kind)
        return min(
            packet.pts * stream.time_base
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and stream.time_base is not None
        )


def same(found: list[Frame], wanted: list[Frame], rounding: float = 0.0006) -> None:
    """Check that frames are the same, with the same distances; Matroska rounds to 1 ms."""
    assert [one.data for one in found] == [one.data for one in wanted]
    shift = found[0].time - wanted[0].time
    for mine, theirs in zip(found, wanted, strict=True):
        assert abs(mine.time - theirs.time - shift) <= rounding + 0.0006


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["b-frames", "plain"])
def test_forms(folder: Path, name: str, form: str) -> None:
    """However FFmpeg cuts it, over a wrap of 33 bits too: the same frames, sound in step."""
    source = clip(folder, name)
    joiner = join([Source(playlist(folder, name, form))])
    data = written(joiner)
    same(pictures(data), pictures(source))
    same(sound(data), sound(source))
    between = begins(data, "audio") - begins(data, "video")
    assert abs(between - (begins(source, "audio") - begins(source, "video"))) < 0.002
    assert (joiner.discontinuities, joiner.dropped, joiner.damaged) == (0, 0, 0)
    assert abs(joiner.duration_seconds - SECONDS) < 0.05


@pytest.mark.parametrize("form", ["ts", "fmp4"])
@pytest.mark.parametrize("name", ["open", "hevc", "eac3"])
def test_codecs(folder: Path, name: str, form: str) -> None:
    """Open groups of pictures with MP3, HEVC with AC-3, and E-AC-3: as FFmpeg reads the list.

    Of open groups its fragments have the pictures of the first one late, by 80 ms.
    """
    source = clip(folder, name)
    joiner = join([Source(playlist(folder, name, form))])
    data = written(joiner)
    same(pictures(data), pictures(folder / f"{name}-{form}" / "list.m3u8"))
    assert [one.data for one in pictures(data)] == [one.data for one in pictures(source)]
    same(sound(data), sound(source))
    assert (joiner.discontinuities, joiner.dropped, joiner.damaged) == (0, 0, 0)


@pytest.mark.parametrize("announced", [True, False])
def test_discontinuities(folder: Path, announced: bool) -> None:
    """Encodings that begin at other times, and have other depths of B-frames, in other formats."""
    parts = [
        ("b-frames", "ts"), ("plain", "wrap"), ("b-frames", "fmp4"), ("plain", "fmp4"),
        ("b-frames", "wrap"),
    ]  # fmt: skip
    lists = [playlist(folder, name, form) for name, form in parts]
    joiner = join([Source(behind(lists[0], *lists[1:], announced=announced))])
    data = written(joiner)
    found = pictures(data)
    wanted = [one.data for name, _form in parts for one in pictures(clip(folder, name))]
    assert [one.data for one in found] == wanted
    steps = [float(b.time - a.time) for a, b in pairwise(found)]
    frames = 25 * SECONDS
    for place, step in enumerate(steps, 1):
        longest = 0.0801 if place % frames == 0 else 0.0401
        assert 0.0399 <= step <= longest, place
    if announced:
        assert joiner.discontinuities == 4
    assert (joiner.dropped, joiner.damaged) == (0, 0)
    assert abs(joiner.duration_seconds - 5 * SECONDS) <= 4 * 0.04 + 0.05


def test_discontinuity_keeps_sound_in_step(folder: Path) -> None:
    """Behind each discontinuity, sound is as far from its pictures as it was encoded."""
    source = clip(folder, "b-frames")
    lists = [playlist(folder, "b-frames", form) for form in ("ts", "wrap", "fmp4")]
    packets = list(join([Source(behind(lists[0], *lists[1:]))]))
    wanted = begins(source, "audio") - begins(source, "video")
    video = sorted(p.pts / 90000 for p in packets if p.track.kind is MediaKind.VIDEO)
    heard = [p.pts / 48000 for p in packets if p.track.kind is MediaKind.AUDIO]
    each = len(heard) // 3
    for number in range(3):
        between = heard[number * each] - video[number * 25 * SECONDS]
        assert abs(between - wanted) < 0.002


def test_audio_group(folder: Path) -> None:
    """A variant with its sound in a rendition: `-var_stream_map` with an audio group."""
    place = folder / "group"
    place.mkdir()
    source = clip(folder, "b-frames")
    ffmpeg(
        *("-i", str(source), "-map", "0", "-c", "copy", "-f", "hls", "-hls_time", "1"),
        *("-hls_list_size", "0", "-var_stream_map", "v:0,agroup:a a:0,agroup:a,language:de"),
        str(place / "list%v.m3u8"),
    )
    lists = [list(pieces(place / f"list{n}.m3u8")) for n in (0, 1)]
    joiner = join([Source(lists[0], only=MediaKind.VIDEO), Source(lists[1], "de")])
    data = written(joiner)
    same(pictures(data), pictures(source))
    same(sound(data), sound(source))
    between = begins(data, "audio") - begins(data, "video")
    assert abs(between - (begins(source, "audio") - begins(source, "video"))) < 0.002
    with opened(data) as container:
        assert container.streams.audio[0].metadata["language"] == "deu"


@pytest.mark.parametrize("told", [True, False])
def test_packed_audio(folder: Path, told: bool) -> None:
    """Raw AAC beside pictures in MPEG-TS, with and without the tags that tell its times."""
    place = folder / f"packed-{told}"
    place.mkdir()
    source = clip(folder, "sound")
    ffmpeg(
        *("-i", str(source), "-c", "copy", "-f", "segment", "-segment_time", "1"),
        *("-segment_format", "adts", str(place / "%d.aac")),
    )
    parts = []
    time = Fraction(0)
    for number in range(len(list(place.iterdir()))):
        data = (place / f"{number}.aac").read_bytes()
        # FFmpeg's pictures begin at 1.4 s, and here the sound half a second later.
        tag = timestamp(round((time + Fraction(19, 10)) * 90000)) if told else b""
        parts.append(Piece([tag + data], b"", 1.0))
        time += Fraction(1024, 48000) * data.count(b"\xff\xf1\x4c")
    video = playlist(folder, "pictures", "ts")
    joiner = join([Source(video), Source(parts)])
    data = written(joiner)
    same(pictures(data), pictures(clip(folder, "pictures")))
    same(sound(data), sound(source))
    first = next(frame for frame in pictures(data))
    assert first.time == 0
    between = begins(data, "audio") - begins(data, "video")
    # Pictures of three B-frames are presented two later than FFmpeg's 1.4 s.
    assert abs(between - (0.5 - 0.08 if told else 0)) < 0.002


def test_missing_segment(folder: Path) -> None:
    """What is not there leaves its hole: the frames behind it are where they were."""
    whole = pictures(clip(folder, "plain"))
    for form in ("ts", "fmp4"):
        parts = playlist(folder, "plain", form)
        parts[1] = parts[1]._replace(data=(), missing=True)
        found = pictures(written(join([Source(parts)])))
        assert [one.data for one in found] == [one.data for one in whole[:25] + whole[50:]]
        assert abs(found[25].time - 2) < 0.001
