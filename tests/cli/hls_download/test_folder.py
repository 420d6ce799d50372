"""Tests of ntvmedia.cli.hls_download.folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download import folder as module
from ntvmedia.cli.hls_download.folder import (
    Entry,
    SegmentFile,
    WorkFolder,
    entries_of,
    header_of,
    segment_path,
)

WANTED: dict[str, Any] = {
    "url": "https://example.org/a.m3u8",
    "query": "",
    "variant": "best",
    "audio": [],
    "sources": [["320x240", "", "video"], ["English en", "en", None]],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the folder will be."""
    return tmp_path / "out.mp4.download"


def claim(path: Path, *, force: bool = False, resume: bool = False, **other: Any) -> WorkFolder:
    """Open the folder."""
    return WorkFolder(path, {**WANTED, **other}, force=force, resume=resume)


def entry(place: int, size: int = 3, *, source: int = 0, init: str = "") -> Entry:
    """Return an entry."""
    return Entry(source, place, 100 + place, f"{place}.ts", None, 4.0, place == 2, init, size)


def load(folder: WorkFolder, place: int, data: bytes = b"abc", *, source: int = 0) -> Entry:
    """Load a segment, as `Downloads` does."""
    file = SegmentFile(folder.segment_path(source, place))
    try:
        file.begin()
        file.write(data[:1])
        file.write(data[1:])
        size = file.complete()
    finally:
        file.close()
    done = entry(place, size, source=source)
    folder.complete(done)
    return done


def problem(path: Path, **options: Any) -> str:
    """Return why a folder cannot be used."""
    with pytest.raises(Failed) as caught:
        claim(path, **options).close()
    return str(caught.value)


def files(path: Path) -> dict[str, bytes]:
    """Return all that is in a folder."""
    return {x.name: x.read_bytes() for x in path.iterdir()}


# What is kept


def test_new(path: Path) -> None:
    """A new one is for nobody else's eyes, has nothing, and says what it is for."""
    folder = claim(path)
    assert folder.entries == {}
    assert path.stat().st_mode & 0o777 == 0o700
    assert {k: header_of(path)[k] for k in WANTED} == WANTED
    folder.close()
    folder.close()


def test_kept(path: Path) -> None:
    """What is complete is there the next time, with all that is known of it."""
    folder = claim(path)
    init = folder.write_init(1, 0, b"init")
    extended = Entry(1, 0, 7, "ä \N{SNOWMAN}\ud800.m4s", (3, 4), 3.999, True, init, 3)
    load(folder, 0)
    load(folder, 0, source=1)
    folder.complete(extended)
    missing = entry(5, -1)
    folder.complete(missing)
    folder.close()
    again = claim(path)
    assert again.entries == {(0, 0): entry(0), (1, 0): extended, (0, 5): missing}
    assert (path / init).read_bytes() == b"init"
    assert segment_path(path, 0, 0) == again.segment_path(0, 0)
    again.close()
    assert entries_of(path) == [entry(0), missing, extended]


def test_replaced(path: Path) -> None:
    """A segment that is loaded again, since it was not to be had before, counts from then on."""
    folder = claim(path)
    folder.complete(entry(0, -1))
    assert folder.entries[0, 0].size == -1
    done = load(folder, 0, b"abcdef")
    assert folder.entries == {(0, 0): done}
    folder.close()
    with closing(claim(path)) as again:
        assert again.entries == {(0, 0): done}
    assert entries_of(path) == [done]


def test_not_whole(path: Path) -> None:
    """What the journal has and the folder has not, or not as long, is to be loaded again."""
    folder = claim(path)
    for place in range(4):
        load(folder, place)
    folder.complete(entry(4, init="0-000004.init"))
    segment_path(path, 0, 4).write_bytes(b"abc")
    folder.close()
    segment_path(path, 0, 0).unlink()
    segment_path(path, 0, 1).write_bytes(b"ab")
    segment_path(path, 0, 2).write_bytes(b"")
    with closing(claim(path)) as again:
        assert set(again.entries) == {(0, 3)}
    (path / "0-000004.init").write_bytes(b"")
    with closing(claim(path)) as again:
        assert set(again.entries) == {(0, 3)}
    (path / "0-000004.init").write_bytes(b"init")
    with closing(claim(path)) as again:
        assert set(again.entries) == {(0, 3), (0, 4)}


def test_numbers_beyond_six_digits(path: Path) -> None:
    """A very long stream has as many segments as it has, and they are told apart."""
    folder = claim(path)
    load(folder, 1_000_000)
    load(folder, 100_000, b"other")
    folder.close()
    again = claim(path)
    assert set(again.entries) == {(0, 1_000_000), (0, 100_000)}
    again.remove()
    assert not path.exists()


# Whose it is


@pytest.mark.parametrize(
    "other",
    [
        {"url": "https://example.org/b.m3u8"},
        {"variant": "worst"},
        {"audio": ["de"]},
        {"sources": []},
        {"version": 0},
    ],
)
def test_another_download(path: Path, other: dict[str, Any]) -> None:
    """Another address or choice is another download; only `--force` begins anew."""
    folder = claim(path)
    load(folder, 0)
    folder.close()
    before = files(path)
    for resume in (False, True):
        assert "it has a download from another address" in problem(path, resume=resume, **other)
        assert files(path) == before
    with closing(claim(path, force=True, **other)) as again:
        assert again.entries == {}
    assert set(files(path)) == {"journal"}
    assert "another address" in problem(path)


def test_another_query(path: Path) -> None:
    """A token that has run out: `--resume` goes on, and never by itself."""
    folder = claim(path, query="1")
    load(folder, 0)
    folder.close()
    assert "--resume goes on" in problem(path, query="2")
    with closing(claim(path, query="2", resume=True)) as again:
        assert set(again.entries) == {(0, 0)}
        load(again, 1)
    with closing(claim(path, query="3", resume=True)) as again:
        assert set(again.entries) == {(0, 0), (0, 1)}


def test_force_goes_on(path: Path) -> None:
    """`--force` is for OUT, and for what another download left; the same one goes on."""
    folder = claim(path)
    load(folder, 0)
    folder.close()
    with closing(claim(path, force=True)) as again:
        assert set(again.entries) == {(0, 0)}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name", ["film.mp4", "0-1.segment", "x-000001.segment", "0-000000.segment~", ".hidden"]
)
def test_files_of_somebody_else(path: Path, force: bool, name: str) -> None:
    """A folder that has no journal, and files that we did not make, is not ours to empty."""
    path.mkdir()
    (path / name).write_bytes(b"precious")
    (path / "0-000000.segment").write_bytes(b"ours?")
    before = files(path)
    assert "it is in the way" in problem(path, force=force)
    assert files(path) == before


def test_folder_in_the_folder(path: Path) -> None:
    """Nor is one with folders in it, whatever their names are."""
    (path / "0-000000.segment").mkdir(parents=True)
    assert "it is in the way" in problem(path)
    assert (path / "0-000000.segment").is_dir()


def test_link_in_the_folder(path: Path, tmp_path: Path) -> None:
    """Nothing outside the folder is deleted or written through a link in it."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"1")
    path.mkdir()
    (path / "merged").symlink_to(precious)
    (path / "0-000000.part").symlink_to(precious)
    claim(path).close()
    assert precious.read_bytes() == b"1"
    assert set(files(path)) == {"journal"}


def test_something_else_is_there(path: Path, tmp_path: Path) -> None:
    """A file, or a link to nowhere, is not the folder."""
    path.write_bytes(b"precious")
    assert "it is in the way" in problem(path, force=True)
    assert path.read_bytes() == b"precious"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert "it is in the way" in problem(path)


def test_two_processes(path: Path) -> None:
    """One at a time works in it, and what the other does in vain changes nothing."""
    folder = claim(path)
    load(folder, 0)
    before = files(path)
    for options in ({}, {"force": True}, {"force": True, "variant": "worst"}):
        assert "another download works in it" in problem(path, **options)
    assert files(path) == before
    folder.close()
    claim(path).close()


def test_lock_ends_with_the_process(path: Path) -> None:
    """Whoever is killed holds nobody up."""
    if not (child := os.fork()):
        claim(path)
        os._exit(0)
    os.waitpid(child, 0)
    claim(path).close()


def test_refused_is_closed(path: Path) -> None:
    """One that was refused has let go of it."""
    claim(path).close()
    problem(path, variant="worst")
    claim(path).close()


def test_remove(path: Path) -> None:
    """All that is ours goes, and what somebody put there stays."""
    folder = claim(path)
    load(folder, 0)
    folder.write_init(0, 0, b"init")
    folder.merged_path.write_bytes(b"film")
    partial = SegmentFile(folder.segment_path(0, 1))
    partial.begin()
    partial.close()
    (path / "notes.txt").write_bytes(b"mine")
    folder.remove()
    assert files(path) == {"notes.txt": b"mine"}
    (path / "notes.txt").unlink()
    folder = claim(path)
    folder.remove()
    assert not path.exists()


# Journals that are not whole


def journal_of(path: Path) -> bytes:
    """Make a folder with three segments; return its journal."""
    folder = claim(path)
    for place in range(3):
        load(folder, place)
    folder.close()
    return (path / "journal").read_bytes()


@settings(max_examples=40)
@given(st.data())
def test_torn(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut anywhere, it has what was whole before, and goes on from there."""
    path = tmp_path_factory.mktemp("torn") / "out.mp4.download"
    journal = journal_of(path)
    end = data.draw(st.integers(0, len(journal)))
    junk = data.draw(st.sampled_from([b"", bytes(20), b'{"source":0', b"\n", b"[1]\n", b"\xff\n"]))
    (path / "journal").write_bytes(journal[:end] + junk)
    whole = journal[:end].count(b"\n") + (junk == b"\n" and journal[end : end + 1] == b"\n")
    with closing(claim(path)) as folder:
        assert set(folder.entries) == {(0, place) for place in range(whole - 1)}
        for place in range(3):
            load(folder, place)
    assert entries_of(path) == [entry(place) for place in range(3)]
    with closing(claim(path)) as folder:
        assert len(folder.entries) == 3


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"source": 0},
        {**entry(0)._asdict(), "more": 1},
        {**entry(0)._asdict(), "byte_range": 5},
        {**entry(0)._asdict(), "size": "3"},
    ],
)
def test_strange_line(path: Path, line: dict[str, Any]) -> None:
    """A line of another version, or none of ours, is passed over."""
    journal = journal_of(path)
    (path / "journal").write_bytes(journal + json.dumps(line).encode() + b"\n")
    with closing(claim(path)) as folder:
        assert set(folder.entries) == {(0, 0), (0, 1), (0, 2)}
    assert len(entries_of(path)) == 3


@pytest.mark.parametrize("journal", [None, b"", b"\n", b"x", b"[]\n", b'{"version": 0}\n', b"1\n"])
def test_header_of(path: Path, journal: bytes | None) -> None:
    """Where nobody can tell what was to be made, it says nothing."""
    path.mkdir()
    if journal is not None:
        (path / "journal").write_bytes(journal)
    assert header_of(path) == {}
    assert entries_of(path) == []


# Segments


def test_segment_file(tmp_path: Path) -> None:
    """A file has its name when it is complete, and begins anew with each try."""
    path = tmp_path / "0-000000.segment"
    counts: list[int] = []
    file = SegmentFile(path, counts.append)
    file.begin()
    file.write(b"half of it")
    file.begin()
    file.write(b"all")
    file.write(b" of it")
    assert not path.exists()
    assert file.complete() == 9
    assert files(tmp_path) == {path.name: b"all of it"}
    assert counts == [0, 10, 0, 3, 9]
    file.close()


def test_segment_file_given_up(tmp_path: Path) -> None:
    """What is not complete never has the name."""
    file = SegmentFile(tmp_path / "0-000000.segment")
    file.begin()
    file.write(b"half of it")
    file.close()
    file.close()
    assert list(files(tmp_path)) == ["0-000000.part"]


# Kills


def in_child(work: Callable[[], None], lines: int) -> int:
    """Do something in a process that ends without a word before so many lines of the module.

    Returns:
        1 where it ended like that; 0 where the work was done before.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = lines

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            left -= 1
            if not left:
                # As SIGKILL: what is in Python's own buffers is lost.
                os._exit(1)
        return trace

    sys.settrace(trace)
    try:
        work()
    except BaseException:
        os._exit(2)
    os._exit(0)


def test_killed_anywhere(tmp_path: Path) -> None:
    """Killed before any line, the same work done again ends with the same."""
    contents = {0: b"hi" * 5000}
    path = tmp_path / "out.mp4.download"

    def work() -> None:
        folder = claim(path)
        name = folder.write_init(0, 0, b"init") if (0, 0) not in folder.entries else ""
        for place, data in contents.items():
            if (0, place) not in folder.entries:
                load(folder, place, data)
        if name:
            folder.complete(folder.entries[0, 0]._replace(init=name))
        folder.close()

    kills = 0
    while status := in_child(work, kills + 1):
        assert status == 1
        kills += 1
        with closing(claim(path)) as folder:
            for (_source, place), found in folder.entries.items():
                assert folder.segment_path(0, place).read_bytes() == contents[place]
                assert found[:8] == entry(place, init=found.init)[:8]
        work()
        with closing(claim(path)) as folder:
            assert {p: folder.segment_path(0, p).read_bytes() for p in contents} == contents
            assert len(folder.entries) == 1
            folder.remove()
        assert not path.exists()
    assert kills > 50
