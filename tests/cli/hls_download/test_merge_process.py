"""Tests of ntvmedia.cli.hls_download.merge_process, with segments as FFmpeg makes them."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ntvmedia.cli.hls_download import merge_process as module
from ntvmedia.cli.hls_download.merge_process import Job, Result, merge
from ntvmedia.errors import NtvMediaError
from ntvmedia.media.packets import MediaKind
from tests.cli.hls_download.clips import (
    FRAME_RATE,
    SECONDS,
    boxes_of,
    clip,
    fill,
    packets_of,
    source_of,
)

FRAME = 1 / FRAME_RATE
SOUND_FRAME = 1024 / 48000
ALL = source_of(0, SECONDS - 1)


def merged(folder: Path, *sources: dict[str, Any], trims: bool = False) -> tuple[Result, Path]:
    """Merge a folder; return what came of it, and the file."""
    out = folder / "merged"
    result = merge(Job(str(folder), list(sources), str(out), trims))
    assert result.size == out.stat().st_size
    return result, out


@pytest.mark.parametrize("kind", ["ts", "fmp4"])
def test_whole(tmp_path: Path, kind: str) -> None:
    """All pictures and sounds, in a file that starts at once, of the playlist's length."""
    result, out = merged(fill(tmp_path / "d", [clip(kind)]), ALL)
    assert abs(result.seconds - SECONDS) < FRAME + SOUND_FRAME
    assert result[1:2] + result[3:5] == (0, 0, [])
    assert abs(result.frame_seconds - FRAME) < FRAME / 4
    assert boxes_of(out.read_bytes()) == ["ftyp", "moov", "mdat"]
    found = packets_of(out)
    assert len(found["video"]) == SECONDS * FRAME_RATE
    times = sorted(time for time, _data in found["video"])
    assert all(abs(b - a - FRAME) < 0.001 for a, b in pairwise(times))
    assert abs(len(found["audio"]) - SECONDS / SOUND_FRAME) <= 2


def test_two_sources(tmp_path: Path) -> None:
    """Pictures and sound of lists of their own, with the language that the list tells."""
    folder = fill(tmp_path / "d", [clip("video"), clip("audio")])
    count = len(clip("audio").segments)
    sources = source_of(0, SECONDS - 1, only="video"), source_of(0, count - 1, "de")
    result, out = merged(folder, *sources)
    assert abs(result.seconds - SECONDS) < 2 * FRAME + SOUND_FRAME
    assert set(packets_of(out)) == {"video", "audio"}
    # "deu", in 5 bits each (ISO 14496-12 8.4.2).
    assert b"\x10\xb5" in out.read_bytes()[:3000]


def test_only(tmp_path: Path) -> None:
    """Of a list with both, only the pictures; `only` is as JSON has it."""
    folder = fill(tmp_path / "d", [clip("ts")])
    _result, out = merged(folder, source_of(0, 3, only=json.loads(json.dumps(MediaKind.VIDEO))))
    assert set(packets_of(out)) == {"video"}


@pytest.mark.parametrize("how", ["missing", "left_out"])
def test_missing(tmp_path: Path, how: str) -> None:
    """What could not be had leaves its hole; so does what the journal does not know."""
    folder = fill(tmp_path / "d", [clip("ts")], **{how: [1]})
    _result, out = merged(folder, ALL)
    times = sorted(time for time, _data in packets_of(out)["video"])
    assert len(times) == (SECONDS - 1) * FRAME_RATE
    holes = [b - a for a, b in pairwise(times) if b - a > 2 * FRAME]
    assert len(holes) == 1
    assert abs(holes[0] - 1 - FRAME) < 0.01


def test_missing_at_the_beginning(tmp_path: Path) -> None:
    """The first may be missing too."""
    folder = fill(tmp_path / "d", [clip("fmp4")], missing=[0, 1])
    result, out = merged(folder, ALL)
    assert len(packets_of(out)["video"]) == 2 * FRAME_RATE
    assert result.seconds < SECONDS + FRAME + SOUND_FRAME


def test_init_sections_of_two_runs(tmp_path: Path) -> None:
    """A download that went on has loaded the init section again: it is the same one."""
    expected, out = merged(fill(tmp_path / "a", [clip("fmp4")]), ALL)
    folder = fill(tmp_path / "b", [clip("fmp4")])
    (folder / "0-000002.init").write_bytes(clip("fmp4").init)
    journal = (folder / "journal").read_text("ascii").splitlines()
    journal[3:] = [line.replace("0-000000.init", "0-000002.init") for line in journal[3:]]
    (folder / "journal").write_text("\n".join([*journal, ""]), "ascii")
    found, other = merged(folder, ALL)
    assert found == expected
    assert other.read_bytes() == out.read_bytes()


def test_discontinuity(tmp_path: Path) -> None:
    """Times that begin anew: the same clip twice is twice as long."""
    both = clip("ts")
    twice = type(both).__new__(type(both))
    twice.segments, twice.durations = both.segments * 2, both.durations * 2
    twice.init = b""
    folder = fill(tmp_path / "d", [twice], cuts=[SECONDS])
    result, out = merged(folder, source_of(0, 2 * SECONDS - 1))
    assert result.discontinuities == 1
    assert abs(result.seconds - 2 * SECONDS) < 2 * (FRAME + SOUND_FRAME)
    assert len(packets_of(out)["video"]) == 2 * SECONDS * FRAME_RATE


def test_some(tmp_path: Path) -> None:
    """Places from one to another; what else is in the folder is not wanted."""
    folder = fill(tmp_path / "d", [clip("ts")])
    _result, out = merged(folder, source_of(1, 2))
    found = packets_of(out)
    assert len(found["video"]) == 2 * FRAME_RATE
    assert min(time for time, _data in found["video"] + found["audio"]) == 0.0


def test_trims(tmp_path: Path) -> None:
    """A part has no sound without a picture; what of it has one is as it was."""
    folder = fill(tmp_path / "d", [clip("video"), clip("audio")])
    sources = source_of(1, 2, only="video"), source_of(0, 3)
    _result, out = merged(folder, *sources)
    whole = packets_of(out)
    _result, out = merged(folder, *sources, trims=True)
    found = packets_of(out)
    assert [data for _time, data in found["video"]] == [data for _time, data in whole["video"]]
    pictures = [time for time, _data in found["video"]]
    sounds = [time for time, _data in found["audio"]]
    assert min(sounds) >= min(pictures) - 0.001
    assert max(sounds) <= max(pictures) + 0.001
    assert abs(max(sounds) - max(pictures)) < SOUND_FRAME + FRAME
    kept = [data for _time, data in found["audio"]]
    before = [data for _time, data in whole["audio"]]
    first = before.index(kept[0])
    assert kept == before[first : first + len(kept)]
    assert len(kept) < len(before)


@pytest.mark.parametrize("most", [5, 100_000])
def test_trims_sound_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Where there are no pictures, nothing of the sound is left out, and not all of it is held."""
    monkeypatch.setattr(module, "_MAX_HELD", most)
    folder = fill(tmp_path / "d", [clip("audio")])
    count = len(clip("audio").segments)
    whole, out = merged(folder, source_of(0, count - 1))
    before = out.read_bytes()
    found, out = merged(folder, source_of(0, count - 1), trims=True)
    assert found == whole
    assert out.read_bytes() == before


def test_unknown(tmp_path: Path) -> None:
    """What cannot be put into MP4 is named, or it is all there is."""
    folder = fill(tmp_path / "d", [clip("mpeg2")])
    with pytest.raises(NtvMediaError):
        merged(folder, ALL)


def test_no_media(tmp_path: Path) -> None:
    """A segment that is none is named."""
    folder = fill(tmp_path / "d", [clip("ts")])
    path = folder / "0-000002.segment"
    path.write_bytes(b"<html>" + bytes(path.stat().st_size - 6))
    with pytest.raises(NtvMediaError, match=r"segment 102: .*HTML"):
        merged(folder, ALL)


def test_segment_gone(tmp_path: Path) -> None:
    """Somebody has deleted one: its name is told."""
    folder = fill(tmp_path / "d", [clip("ts")])
    (folder / "0-000001.segment").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        merged(folder, ALL)
    assert caught.value.filename == str(folder / "0-000001.segment")


def test_nothing(tmp_path: Path) -> None:
    """All is missing."""
    folder = fill(tmp_path / "d", [clip("ts")], missing=range(SECONDS))
    with pytest.raises(NtvMediaError):
        merged(folder, ALL)


def test_replaced(tmp_path: Path) -> None:
    """What a process that was killed left of the file is nothing of this one."""
    folder = fill(tmp_path / "d", [clip("ts")])
    _result, out = merged(folder, ALL)
    good = out.read_bytes()
    out.write_bytes(good * 2)
    merged(folder, ALL)
    assert out.read_bytes() == good


# The header, before what is there


@pytest.mark.parametrize("block", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 999, 5000])
def test_prepend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, size: int) -> None:
    """All is moved, whatever fits into memory at a time, by a header of any length."""
    monkeypatch.setattr(module, "_MOVED", max(block, size // 100))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    data = os.urandom(size)
    for header in (b"", b"h", os.urandom(3000)):
        path = tmp_path / "x"
        with path.open("w+b") as file:
            file.write(data)
            file.flush()
            module._prepend(file, header, 1.0)
        assert path.read_bytes() == header + data


def test_prepend_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the same, and the parent hears that it goes on: nobody takes that for a hang."""
    folder = fill(tmp_path / "d", [clip("ts")])
    _result, out = merged(folder, ALL)
    good = out.read_bytes()
    monkeypatch.setattr(module, "_MOVED", 4096)
    monkeypatch.setattr(module, "_TOLD_SECONDS", 1e9)
    told = io.StringIO()
    monkeypatch.setattr(sys, "stdout", told)
    merged(folder, ALL)
    assert out.read_bytes() == good
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert len(lines) >= len(good) // 4096 - 1
    assert all(set(line) == {"done"} for line in lines)


def test_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, how far it is."""
    monkeypatch.setattr(module, "_TOLD_SECONDS", -1.0)
    told = io.StringIO()
    monkeypatch.setattr(sys, "stdout", told)
    merged(fill(tmp_path / "d", [clip("video")]), ALL)
    done = [json.loads(line)["done"] for line in told.getvalue().splitlines()]
    assert len(done) > SECONDS * FRAME_RATE
    assert max(done) <= SECONDS + FRAME
    assert done[FRAME_RATE] < done[2 * FRAME_RATE] < done[3 * FRAME_RATE]


# The process


def run(job: Job | bytes, **options: Any) -> tuple[int, list[Any], str]:
    """Run it as its parent does; return its status, its messages and its complaints."""
    data = job if isinstance(job, bytes) else json.dumps(job._asdict()).encode()
    command = [sys.executable, "-P", "-m", "ntvmedia.cli.hls_download.merge_process"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, **options)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, messages, done.stderr.decode()


def test_process(tmp_path: Path) -> None:
    """Its last word is its result, and it imports nothing of the folder that it runs in."""
    folder = fill(tmp_path / "d", [clip("ts")])
    (tmp_path / "json.py").write_text("raise SystemExit('no')", "utf-8")
    expected, out = merged(folder, ALL)
    good = out.read_bytes()
    out.unlink()
    job = Job(str(folder), [ALL], str(out), False)
    status, messages, complaints = run(job, cwd=tmp_path)
    assert (status, messages[-1], complaints) == (0, expected._asdict(), "")
    assert out.read_bytes() == good


def test_process_fails(tmp_path: Path) -> None:
    """What went wrong is a message, and not a traceback."""
    folder = fill(tmp_path / "d", [clip("ts")])
    nowhere = Job(str(folder), [ALL], str(tmp_path / "none" / "x"), False)
    assert run(nowhere) == (
        0, [{"error": f"{tmp_path}/none/x: No such file or directory"}], ""
    )  # fmt: skip


def test_process_full_disk(tmp_path: Path) -> None:
    """A file that may not grow any more."""
    folder = fill(tmp_path / "d", [clip("ts")])

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    job = Job(str(folder), [ALL], str(tmp_path / "x"), False)
    status, messages, complaints = run(job, preexec_fn=limit)
    assert (status, complaints) == (0, "")
    assert messages[-1]["error"].endswith("File too large")
