"""Tests of ntvmedia.avtools.files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.files import OpenFile, format_of
from ntvmedia.errors import RemoteError

TS = b"\x47" + bytes(187)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bytes.fromhex("00000020667479706973 6f6d"), "mov"),
        (bytes.fromhex("000000086d6f6f76"), "mov"),
        (bytes.fromhex("1a45dfa3a3428681"), "matroska"),
        (b"FLV\x01\x05\0\0\0\x09", "flv"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(8), "asf"),
        (TS * 6, "mpegts"),
        ((bytes(4) + TS) * 6, "mpegts"),
        ((TS + bytes(16)) * 6, "mpegts"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ""),
        (b"ID3\x04\0\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\xff\xff\xff\xff", "mp3"),
        (b"\xff\xd8\xff\xe0", ""),
        (b"OggS\0\x02", "ogg"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"\0\0\x01\xba\x44", "mpeg"),
        (b"", ""),
        (b"\x47" * 8, ""),
        # F-SS-01: what names other files, whatever the name of the file itself.
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", ""),
        (b"ffconcat version 1.0\nfile x\n", ""),
        (b"<?xml version='1.0'?>\n<MPD>", ""),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", ""),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", ""),
        (b"[Reference]\r\nRef1=http://x/\r\n", ""),
    ],
)
def test_formats(data: bytes, name: str) -> None:
    """A demuxer is chosen by the first bytes, and none that would open more."""
    assert format_of(data) == name


@given(st.binary(max_size=2000))
@settings(max_examples=100)
def test_formats_of_anything(data: bytes) -> None:
    """Whatever the bytes, the answer is a demuxer of ours or none, and never a playlist's."""
    assert format_of(data) not in ("hls", "concat", "dash", "sdp", "asf_o", "image2")


def problem_of(path: str | Path, *folders: Path) -> str:
    """Return why a file is not opened; empty where it is."""
    try:
        OpenFile(str(path), [str(x) for x in folders]).close()
    except RemoteError as error:
        assert error.is_permanent
        assert len(str(path)) < 4 or str(path) not in str(error)
        return str(error)
    return ""


def test_below(tmp_path: Path) -> None:
    """F-PA-01: a file is found in the folders, by whatever name, and nowhere else."""
    allowed, other = tmp_path / "allowed", tmp_path / "allowed-not"
    (allowed / "a").mkdir(parents=True)
    other.mkdir()
    (allowed / "a" / "x.mp4").write_bytes(b"in")
    (other / "y.mp4").write_bytes(b"out")
    (allowed / "good.mp4").symlink_to("a/x.mp4")
    (allowed / "bad.mp4").symlink_to(other / "y.mp4")
    (allowed / "folder").symlink_to(other)
    (tmp_path / "way").symlink_to(allowed)
    for good in ("a/x.mp4", "good.mp4", "a/../good.mp4", allowed / "a/x.mp4"):
        assert problem_of(good, allowed) == "", good
    assert problem_of(tmp_path / "way" / "good.mp4", tmp_path / "way") == ""
    assert problem_of("y.mp4", allowed, other) == ""
    for bad in (
        "../allowed-not/y.mp4",
        "bad.mp4",
        "folder/y.mp4",
        other / "y.mp4",
        allowed / "../allowed-not/y.mp4",
        "/etc/passwd",
        "none.mp4",
        "a",
        ".",
        "",
        "a/x.mp4\0.txt",
        "a/x.mp4/z",
    ):
        assert problem_of(bad, allowed), bad
    assert problem_of("a/x.mp4"), "without folders there are no files"


def test_no_files(tmp_path: Path) -> None:
    """A FIFO, which would be waited for, and a folder are no files."""
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert problem_of("fifo.mp4", tmp_path) == "this is no file"
    assert problem_of("folder.mp4", tmp_path) == "this is no file"


def test_reading(tmp_path: Path) -> None:
    """It is read as a file is."""
    (tmp_path / "x").write_bytes(b"0123456789")
    file = OpenFile("x", [str(tmp_path)])
    assert (file.read(4), file.tell(), file.seek(-2, os.SEEK_END), file.read(9), file.read(1)) == (
        b"0123",
        4,
        8,
        b"89",
        b"",
    )
    before = len(os.listdir("/proc/self/fd"))
    file.close()
    file.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_link_that_was_just_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-PA-01: a name that becomes a link after it was looked at leads nowhere else."""
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    (other / "y.mp4").write_bytes(b"out")
    (allowed / "x.mp4").symlink_to(other / "y.mp4")
    (allowed / "folder").symlink_to(other)
    # As it was looked at before there was a link.
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    for bad in ("x.mp4", "folder/y.mp4", allowed / "x.mp4"):
        assert problem_of(bad, allowed) != "", bad
