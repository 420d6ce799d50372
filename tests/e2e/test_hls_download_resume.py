"""`ntvmedia hls-download` interrupted, killed, or out of space: the same command goes on."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e import hostile_server as wrong
from tests.e2e.downloads import (
    FAST,
    assert_is,
    assert_plain,
    attempt,
    children_with,
    download,
    duration,
    error_of,
    fail,
    launch,
    parts_of,
    start,
)
from tests.e2e.hls_sources import FRAME_RATE, SECONDS, Sources, write_list
from tests.e2e.hostile_server import HostileServer
from tests.e2e.processes import Program, wait_until

JOBS = 2

# Twelve segments of a second, of about 75 kB each, by two connections: about four seconds.
PACE = 120_000

Way = Callable[..., Program]

# A segment that the server sent whole so long ago is on the disk, however busy the machine is.
SETTLED_SECONDS = 0.5


@pytest.fixture
def web(sources: Sources) -> Iterator[HostileServer]:
    """A slow server of a list of twelve segments."""
    with HostileServer(sources.folder("one_second"), bytes_per_second=PACE) as web:
        yield web


def start_slowly(
    web: HostileServer, out: Path, *options: str, mark: str = "", way: Way = launch
) -> Program:
    """Start a download of that list."""
    folder = out.parent.parent
    env = {"PROOF_MARK": mark} if mark else None
    return way(web.url(), out, "--jobs", str(JOBS), *options, folder=folder, env=env)


def wait_for_segments(web: HostileServer, program: Program, count: int) -> None:
    """Wait until the server has sent so many."""

    def done() -> bool:
        assert program.is_running, program.tail()
        return len(web.whole("*.ts")) >= count

    wait_until(done, f"{count} segments were sent")


def assert_kept(web: HostileServer, moment: float) -> None:
    """Check that what was complete before an interruption was not asked for after it."""
    again = web.sent_before(moment - SETTLED_SECONDS, "*.ts") & web.asked_after(moment, "*.ts")
    assert not again


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(
    sources: Sources, web: HostileServer, out: Path, number: int, status: int
) -> None:
    """Ctrl-C ends it soon with status 130 (SIGTERM: 143) and a line; the same command goes on."""
    with start_slowly(web, out, way=start) as program:
        wait_for_segments(web, program, 5)
        time.sleep(SETTLED_SECONDS)
        moment = time.monotonic()
        program.send(number)
        assert program.wait(5) == status, program.tail()
    assert time.monotonic() - moment < 3
    assert_plain(program)
    assert not out.exists()
    assert parts_of(out).is_dir()
    # Nothing is asked for any more.
    assert not web.asked_after(moment + 1, "*")
    web.bytes_per_second = 0
    download(web.url(), out)
    assert_is(out, sources.clip())
    assert_kept(web, moment)
    # Of those that were under way there were no more than jobs.
    assert web.counts("*.ts").total() <= SECONDS + JOBS


def test_interrupted_at_start(web: HostileServer, out: Path) -> None:
    """Ctrl-C while it is still about to begin has the same status, and no traceback."""
    for seconds in (0.3, 0.7, 1.1):
        with start_slowly(web, out, way=start) as program:
            time.sleep(seconds)
            program.send(signal.SIGINT)
            assert program.wait(5) == 130, program.tail()
        assert_plain(program)
        assert not out.exists()


def test_interrupted_on_terminal(sources: Sources, web: HostileServer, out: Path) -> None:
    """Ctrl-C goes to all of a terminal's processes: those of the command stay quiet."""
    mark = f"proof-{os.getpid()}-{time.monotonic_ns()}"
    with start_slowly(web, out, mark=mark, way=start) as program:
        wait_for_segments(web, program, 2)
        for pid in {program.pid, *children_with(mark)}:
            os.kill(pid, signal.SIGINT)
        assert program.wait(5) == 130, program.tail()
    assert_plain(program)
    wait_until(lambda: not children_with(mark), "nothing was left", 5)


def test_interrupted_merging(sources: Sources, tmp_path: Path, out: Path) -> None:
    """Ctrl-C while it merges: no process is left, and nothing is loaded again."""
    mark = f"proof-{os.getpid()}-{time.monotonic_ns()}"
    folder = long_list(sources, tmp_path / "film", 40)
    with HostileServer(folder) as web:
        with launch(web.url(), out, folder=tmp_path, env={"PROOF_MARK": mark}) as program:
            merged = out.with_name(f"{out.name}.download") / "merged"
            wait_until(merged.exists, "it merged")
            assert children_with(mark)
            program.send(signal.SIGINT)
            assert program.wait(5) == 130, program.tail()
        wait_until(lambda: not children_with(mark), "nothing was left", 5)
        assert_plain(program)
        assert not out.exists()
        count = web.counts("*.ts").total()
        download(web.url(), out)
        assert web.counts("*.ts").total() == count
    assert abs(duration(out) - 40 * SECONDS) <= 40 / FRAME_RATE


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_killed(sources: Sources, web: HostileServer, out: Path, seed: int) -> None:
    """Killed at random moments, again and again: the result is that of a run without kills.

    What was complete is not loaded again, no process is left, and OUT is not there before the end.
    """
    dice = random.Random(seed)
    mark = f"proof-{os.getpid()}-{seed}"
    kills = (1, 4, 8)
    settled: set[str] = set()
    for count in kills:
        with start_slowly(web, out, mark=mark) as program:
            wait_for_segments(web, program, count)
            time.sleep(dice.uniform(0, 0.5))
            moment = time.monotonic()
            program.stop(signal.SIGKILL)
        wait_until(lambda: not children_with(mark), "nothing was left", 5)
        assert not out.exists()
        settled = web.sent_before(moment - SETTLED_SECONDS, "*.ts")
    web.bytes_per_second = 0
    download(web.url(), out)
    assert_is(out, sources.clip())
    assert not settled & web.asked_after(moment, "*.ts")
    assert web.counts("*.ts").total() <= SECONDS + len(kills) * JOBS
    calm = out.with_name("calm.mp4")
    download(web.url(), calm)
    assert digest(out) == digest(calm)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_killed_at_any_moment(sources: Sources, tmp_path: Path, out: Path) -> None:
    """Killed while it starts, loads, merges or cleans up, forty times, at a film of 20 minutes."""
    folder = long_list(sources, tmp_path / "film", 100)
    dice = random.Random(5)
    with HostileServer(folder) as web:
        calm = out.with_name("calm.mp4")
        begin = time.monotonic()
        download(web.url(), calm)
        whole_seconds = time.monotonic() - begin
        for _ in range(40):
            with launch(web.url(), out, "--force", folder=tmp_path) as program:
                time.sleep(dice.uniform(0.0, whole_seconds))
                program.stop(signal.SIGKILL)
            if out.exists():
                assert digest(out) == digest(calm)
        download(web.url(), out, "--force")
        assert digest(out) == digest(calm)


def long_list(sources: Sources, folder: Path, laps: int) -> Path:
    """Make a folder whose list has the main clip many times, one behind the other."""
    folder.mkdir()
    entries: list[str] = []
    for number, part in enumerate(sources.playlist("ts").split("#EXTINF:")[1:]):
        name = part.split("\n")[1]
        os.link(sources.folder("ts") / name, folder / name)
        entries += ["#EXT-X-DISCONTINUITY"] * (not number)
        entries += ["#EXTINF:2,", name]
    repeated = [f"{x}?{n}" if x.endswith(".ts") else x for n in range(laps) for x in entries]
    write_list(folder, repeated[1:])
    return folder


@pytest.mark.long
def test_many_segments(sources: Sources, tmp_path: Path, out: Path) -> None:
    """Two hours with six hundred discontinuities are as long as the list says, in little memory."""
    laps = 600
    folder = long_list(sources, tmp_path / "film", laps)
    with HostileServer(folder) as web, start(web.url(), out, folder=tmp_path) as program:
        peak = 0
        while program.is_running:
            peak = max(peak, *map(peak_kilobytes, family(program.pid)))
            time.sleep(0.1)
        program.finish(600)
    assert 20_000 < peak < 300_000
    assert abs(duration(out) - laps * SECONDS) <= laps / FRAME_RATE


def family(pid: int) -> list[int]:
    """List a process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
    except OSError:
        children = ""
    return [pid, *map(int, children.split())]


def peak_kilobytes(pid: int) -> int:
    """Return the most memory that a process ever had; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) if found else 0


def test_two_at_once(sources: Sources, web: HostileServer, out: Path) -> None:
    """A second run for the same OUT is told so, and does the first no harm."""
    web.bytes_per_second = PACE / 5
    with start_slowly(web, out, way=start) as first:
        wait_until(lambda: web.counts("*.ts"), "the first was at work")
        for options in ((), ("--force",)):
            with start_slowly(web, out, *options) as second:
                second.finish(20, status=1)
            said = error_of(second)
            assert "another" in said, said
        web.bytes_per_second = 0
        first.finish()
    assert_is(out, sources.clip())
    assert not parts_of(out).exists()
    assert set(web.counts("*.ts").values()) == {1}


def test_other_address(sources: Sources, web: HostileServer, out: Path) -> None:
    """What one address left behind does not become part of another's film."""
    with start_slowly(web, out) as program:
        wait_for_segments(web, program, 4)
        program.stop(signal.SIGINT)
    with HostileServer(sources.folder("joined")) as other:
        said = fail(other.url(), out)
        assert "--force" in said or "another" in said
        download(other.url(), out, "--force")
    assert_is(out, sources.clip(), sources.clip("other"))


def test_list_that_changed(sources: Sources, tmp_path: Path, out: Path) -> None:
    """The same address has another film meanwhile: no mixture comes out."""
    sources.folder("ts")
    sources.folder("joined")
    with HostileServer(sources.folder("ts").parent, bytes_per_second=PACE) as web:
        web.on("/x.m3u8", wrong.redirect("/ts/index.m3u8"), times=1)
        web.on("/x.m3u8", wrong.redirect("/joined/index.m3u8"))
        address = web.url("/x.m3u8")
        with launch(address, out, "--jobs", str(JOBS), folder=tmp_path) as program:
            wait_for_segments(web, program, 2)
            program.stop(signal.SIGINT)
        web.bytes_per_second = 0
        again, status = attempt(address, out, folder=tmp_path)
        if status:
            error_of(again)
            download(address, out, "--force")
    assert_is(out, sources.clip(), sources.clip("other"))


def test_segment_that_is_cut_on_disk(sources: Sources, web: HostileServer, out: Path) -> None:
    """What became shorter on the disk meanwhile, as after a power cut, is loaded again."""
    with start_slowly(web, out) as program:
        wait_for_segments(web, program, 6)
        time.sleep(SETTLED_SECONDS)
        program.stop(signal.SIGINT)
    large = sorted(
        (x for x in parts_of(out).rglob("*") if x.is_file()), key=lambda x: x.stat().st_size
    )
    os.truncate(large[-1], 1000)
    os.truncate(large[-2], 0)
    web.bytes_per_second = 0
    download(web.url(), out)
    assert_is(out, sources.clip())


def test_error_then_resume(sources: Sources, web: HostileServer, out: Path) -> None:
    """After a segment that could not be had the rest is kept, and the same command goes on."""
    web.bytes_per_second = 0
    web.on("/s9.ts", wrong.status(404), times=1)
    said = fail(web.url(), out, "--retries", "0")
    assert "404" in said
    moment = time.monotonic()
    assert parts_of(out).is_dir()
    time.sleep(SETTLED_SECONDS)
    download(web.url(), out)
    assert_is(out, sources.clip())
    assert "/s0.ts" not in web.asked_after(moment)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes; where none may be mounted, files are no longer than that."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    try:
        yield folder
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(folder)], check=True)


def limit_files(program: Program, size: int) -> None:
    """Let a process and its children write no file that is longer."""
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [400_000, 1_200_000], ids=["loading", "merging"])
def test_disk_full(sources: Sources, tmp_path: Path, size: int) -> None:
    """No space while it loads, or while it merges: a line says so; with more space it goes on."""
    with (
        HostileServer(sources.folder("one_second")) as web,
        small_disk(tmp_path / "disk", size) as disk,
    ):
        out = disk / "x.mp4"
        (tmp_path / "logs").mkdir()
        is_mounted = disk.is_mount()
        with launch(web.url(), out, *FAST, folder=tmp_path) as program:
            if not is_mounted:
                limit_files(program, 20_000 if size < 1_000_000 else 200_000)
            program.finish(30, status=1)
        said = error_of(program)
        assert re.search(r"(?i)no space|full|too large", said), said
        assert not out.exists()
        moment = time.monotonic()
        if is_mounted:
            command = ["mount", "-o", "remount,size=10m", str(disk)]
            subprocess.run(command, check=True)
        program, status = attempt(web.url(), out, folder=tmp_path)
        assert not status, program.tail()
        assert_is(out, sources.clip())
        assert not parts_of(out).exists()
        if size > 1_000_000:
            assert not web.asked_after(moment, "*.ts")


def test_folder_that_cannot_be_written(sources: Sources, web: HostileServer, out: Path) -> None:
    """OUT in a folder that is not there, OUT that is a folder, and a file in the way."""
    assert "nowhere" in fail(web.url(), out.parent / "nowhere" / "x.mp4")
    (out.parent / "folder.mp4").mkdir()
    for options in ((), ("--force",)):
        said = start_and_fail(web, out.parent / "folder.mp4", *options)
        assert "folder.mp4" in said
    parts_of(out).write_bytes(b"mine")
    assert parts_of(out).name in fail(web.url(), out)
    assert parts_of(out).read_bytes() == b"mine"
    assert not web.counts("*.ts")


def start_and_fail(web: HostileServer, out: Path, *options: str) -> str:
    """Run a download whose OUT is a folder; it ends with status 1."""
    with start_slowly(web, out, *options) as program:
        program.finish(30, status=1)
    return error_of(program)
