"""`ntvmedia hls-download` as people run it, and how to tell whether it got all."""

from __future__ import annotations

import atexit
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Sequence
from functools import cache
from hashlib import md5
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import av.container
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame

from tests.e2e.forked import Forker
from tests.e2e.hls_sources import FRAME_RATE
from tests.e2e.media import pictures
from tests.e2e.processes import STOP_SECONDS, Failed, Program

COMMAND = Path(sys.executable).with_name("ntvmedia")

FRAME_SECONDS = 1 / FRAME_RATE

# Times in a transport stream are whole ticks of 90 kHz, those of an MP4 file of its own clock.
_TICK_SECONDS = 0.0005

# Until a run that goes wrong has given up.
FAST = ("--retries", "1", "--timeout", "1")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def start(
    url: str, out: Path | None, *options: str, folder: Path, env: dict[str, str] | None = None
) -> Program:
    """Start a download.

    Args:
        url: Of a playlist.
        out: `-o`; None: without.
        options: More of them.
        folder: Where it runs, and what it prints is kept.
        env: More variables of its environment.
    """
    words = ["hls-download", url, *(["-o", str(out)] if out else []), *options]
    variables = {"PYTHONUNBUFFERED": "1", **(env or {})}
    return Program([COMMAND, *words], folder, "download", env=variables, cwd=folder)


@cache
def _forker() -> Forker:
    forker = Forker()
    atexit.register(forker.close)
    return forker


def launch(
    url: str, out: Path | None, *options: str, folder: Path, env: dict[str, str] | None = None
) -> Program:
    """Start a download as `start` does, in a process that has not to begin with its imports.

    One at a time: it has to end before the next begins.
    """
    words = ["hls-download", url, *(["-o", str(out)] if out else []), *options]
    return _forker().start(words, folder, cwd=folder, env=env or {})


def attempt(
    url: str, out: Path | None, *options: str, folder: Path, seconds: float = 60.0
) -> tuple[Program, int]:
    """Run a download to its end.

    Returns:
        It, and its status.
    """
    program = launch(url, out, *options, folder=folder)
    return program, program.wait(seconds)


def download(url: str, out: Path, *options: str, seconds: float = 60.0) -> Program:
    """Run a download to its good end; OUT is there then, and the temporary folder is not.

    Raises:
        Failed: It was no good end.
    """
    program, status = attempt(url, out, *options, folder=_log_folder(out), seconds=seconds)
    if status:
        raise Failed(f"a download ended with status {status}{program.tail()}")
    assert_plain(program)
    assert out.is_file(), program.tail()
    assert not parts_of(out).exists(), sorted(parts_of(out).iterdir())
    return program


def fail(url: str, out: Path, *options: str, seconds: float = 60.0) -> str:
    """Run a download that cannot be done, and return what it says of that.

    Raises:
        Failed: It ends in another way than with status 1 and one line, or OUT was touched.
    """
    before = out.read_bytes() if out.exists() else None
    program, status = attempt(url, out, *options, folder=_log_folder(out), seconds=seconds)
    if status != 1 or (out.read_bytes() if out.exists() else None) != before:
        raise Failed(f"status {status}, or OUT was written{program.tail()}")
    return error_of(program)


def error_of(program: Program) -> str:
    """Return the one line that a run ended with.

    What it told before, of what it tried again, are lines of their own.

    Raises:
        Failed: There is none, or something else than lines of the command.
    """
    assert_plain(program)
    lines = program.errors.strip().splitlines()
    if not lines or not all(line.startswith("ntvmedia: ") for line in lines):
        raise Failed(f"not one line at the end{program.tail()}")
    return lines[-1].removeprefix("ntvmedia: ")


def assert_plain(program: Program) -> None:
    """Check that there is nothing for a terminal in what was printed, and no traceback."""
    for text in (program.errors, program.output.decode("utf-8", "replace")):
        if _CONTROL.search(text) or "Traceback" in text or "Unhandled" in text:
            raise Failed(f"control characters or a traceback{program.tail()}")


def _log_folder(out: Path) -> Path:
    """Return a folder beside that of OUT, so that what is beside OUT is the command's own."""
    folder = out.parent.parent / "logs"
    folder.mkdir(exist_ok=True)
    return folder


def on_terminal(*words: str) -> str:
    """Run a download on a terminal of 80 columns to its good end, and return what it showed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    variables = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [COMMAND, "hls-download", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=variables
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:
        # That is how a terminal ends.
        pass
    finally:
        os.close(ours)
        status = process.wait(STOP_SECONDS)
    text = seen.decode("utf-8", "replace")
    if status:
        raise Failed(f"status {status}: {text}")
    return text


def parts_of(out: Path) -> Path:
    """Return where an unfinished download of OUT keeps what it has."""
    return out.with_name(f"{out.name}.download")


def boxes(path: Path) -> list[str]:
    """List the boxes of a file, which must end with the last of them (ISO/IEC 14496-12 4.2)."""
    found = []
    size = path.stat().st_size
    with path.open("rb") as file:
        while (at := file.tell()) < size:
            head = file.read(8)
            length, name = int.from_bytes(head[:4], "big"), head[4:].decode("latin-1")
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            assert 8 <= length <= size - at, (name, length, size - at)
            found.append(name)
            file.seek(at + length)
    return found


def duration(path: Path) -> float:
    """Return what the file itself says of its length, in seconds."""
    with av.open(str(path)) as file:
        assert file.duration is not None
        return file.duration / 1_000_000


def languages(path: Path) -> list[str]:
    """Return the languages of the sound tracks, as MP4 writes them: three letters."""
    with av.open(str(path)) as file:
        return [stream.language or "" for stream in file.streams.audio]


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of the pictures."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return stream.width, stream.height


@cache
def shown(path: Path) -> list[str]:
    """Decode the pictures of a file that does not change; their MD5."""
    return [frame.digest for frame in pictures(path)]


def shown_unscaled(path: Path) -> list[str]:
    """Decode pictures whose size may change, which FFmpeg's command would scale to one size."""
    found = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            assert isinstance(frame, VideoFrame)
            digest = md5(usedforsecurity=False)
            for plane in frame.planes:
                rows, step = memoryview(plane), plane.line_size
                for start_of_row in range(0, step * plane.height, step):
                    digest.update(rows[start_of_row : start_of_row + plane.width])
            found.append(digest.hexdigest())
    return found


def heard(path: Path, track: int = 0) -> list[str]:
    """Return the MD5 of each coded sound as the file has it, whatever edit lists leave out.

    AAC is compared as it is coded: what a decoder makes of it depends on where it begins.
    """
    with av.open(str(path), options={"ignore_editlist": "1"}) as file:
        sounds = (bytes(x) for x in file.demux(audio=track) if x.size)
        return [md5(sound, usedforsecurity=False).hexdigest() for sound in sounds]


def picture_times(path: Path) -> list[float]:
    """Return when the pictures are shown, in order, in seconds, with edit lists observed."""
    with av.open(str(path)) as file:
        return _times(file, file.streams.video[0])


def sound_times(path: Path, track: int = 0) -> list[float]:
    """Return when the sounds are heard, as `picture_times`."""
    with av.open(str(path)) as file:
        return _times(file, file.streams.audio[track])


def _times(file: av.container.InputContainer, stream: av.VideoStream | AudioStream) -> list[float]:
    found = [float(x.pts * x.time_base) for x in file.demux(stream) if x.pts is not None and x.size]
    return sorted(found)


def assert_is(path: Path, *clips: Path, seconds: float | None = None) -> None:
    """Check that a download has every picture and every sound of clips, one behind the other.

    It begins with the moov box, its times go on evenly, sound and pictures are as far apart as in
    each of the clips, and it is as long as they are within one frame for each of them.

    Args:
        path: The download.
        clips: What its playlist was made from.
        seconds: How long it must be, where that is not how long the pictures are.
    """
    assert_mp4(path)
    # FFmpeg's command does not like that the SPS changes within a file, which its library decodes.
    seen = shown(path) if len(clips) == 1 else shown_unscaled(path)
    assert seen == [digest for clip in clips for digest in shown(clip)]
    assert heard(path) == [digest for clip in clips for digest in heard(clip)]
    assert_times(path, clips, seconds)


def assert_mp4(path: Path) -> None:
    """Check that a file starts at once: `moov` stands before `mdat`, and nothing else is large."""
    found = boxes(path)
    assert found[0] == "ftyp", found
    assert "moov" in found, found
    assert "moof" not in found, found
    assert found.index("moov") < found.index("mdat"), found


def assert_times(path: Path, clips: Sequence[Path], seconds: float | None = None) -> None:
    """Check the times of a download of clips that stand one behind the other."""
    seen, said = picture_times(path), sound_times(path)
    assert min(seen[0], said[0]) == 0, (seen[0], said[0])
    first_picture = first_sound = 0
    for clip in clips:
        its_seen, its_said = picture_times(clip), sound_times(clip)
        part = seen[first_picture : first_picture + len(its_seen)]
        sounds = said[first_sound : first_sound + len(its_said)]
        assert_even(part, FRAME_SECONDS)
        assert_even(sounds, median(y - x for x, y in pairwise(its_said)))
        apart, its_apart = part[0] - sounds[0], its_seen[0] - its_said[0]
        assert abs(apart - its_apart) < 4 * _TICK_SECONDS, (apart, its_apart)
        first_picture += len(its_seen)
        first_sound += len(its_said)
    for before, after in pairwise(seen):
        # Where two clips meet the tracks end and begin at different moments.
        assert 0 < after - before < 3 * FRAME_SECONDS, (before, after)
    wanted = first_picture * FRAME_SECONDS if seconds is None else seconds
    assert abs(duration(path) - wanted) <= FRAME_SECONDS * len(clips), (duration(path), wanted)


def assert_even(times: Sequence[float], step: float) -> None:
    """Check that a frame follows the other at the same pace."""
    for number, time in enumerate(times):
        assert abs(time - times[0] - number * step) < 2 * _TICK_SECONDS, (number, time)


def children_with(mark: str) -> list[int]:
    """List the processes that have a word in their environment: what a command left behind."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            try:
                words = (place / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in words:
                found.append(int(place.name))
    return found
