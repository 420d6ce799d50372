"""Tests of ntvmedia.cli.archive: the file of a backup."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ntvmedia.cli.archive import Entry, Manifest, entry_of, read_archive, write_archive
from ntvmedia.cli.failures import Failed

FILES = {
    "database/ntvmedia.db": b"rows" * 300,
    "data/keys/signing": b"ab\n",
    "data/setup-code": b"",
}
MADE_AT = "2026-11-22T13:00:00+00:00"


def manifest_of(files: dict[str, bytes], **fields: object) -> Manifest:
    """Describe files."""
    entries = tuple(
        Entry(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()
    )
    made = Manifest(1, "ntvmedia", "1.0.dev1", MADE_AT, "sqlite", "0004", entries)
    return msgspec.structs.replace(made, **fields)


def archive_of(folder: Path, files: dict[str, bytes] = FILES) -> bytes:
    """Write an archive as the program does it."""
    paths = []
    for number, data in enumerate(files.values()):
        paths.append(folder / f"source{number}")
        paths[-1].write_bytes(data)
    target = io.BytesIO()
    write_archive(target, manifest_of(files), paths)
    return target.getvalue()


def member(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """Write one member of a tar in its own way."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def forged(manifest: bytes | Manifest, *members: bytes) -> bytes:
    """Put an archive together that the program would not make."""
    text = manifest if isinstance(manifest, bytes) else msgspec.json.encode(manifest)
    return member("manifest.json", text) + b"".join(members) + bytes(1024)


def read(data: bytes, folder: Path) -> Manifest:
    """Read an archive into a new folder."""
    folder.mkdir(exist_ok=True)
    return read_archive(io.BytesIO(data), folder)


def test_round_trip(tmp_path: Path) -> None:
    """What was written is read again, byte for byte, for its owner only."""
    manifest = read(archive_of(tmp_path), tmp_path / "out")
    assert manifest == manifest_of(FILES)
    for name, data in FILES.items():
        path = tmp_path / "out" / name
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == 0o600
        assert entry_of(name, path) in manifest.files


def test_any_tar_reads_it(tmp_path: Path) -> None:
    """An operator can look into a backup with the programs that he has."""
    with tarfile.open(fileobj=io.BytesIO(archive_of(tmp_path))) as archive:
        assert archive.getnames() == ["manifest.json", *FILES]
        assert {info.mode for info in archive} == {0o600}
        file = archive.extractfile("database/ntvmedia.db")
        assert file is not None
        assert file.read() == FILES["database/ntvmedia.db"]


def test_changed_while_written(tmp_path: Path) -> None:
    """A file that became shorter, or another one, after it was described is not taken for whole."""
    (tmp_path / "a").write_bytes(b"12")
    for described in (b"123", b"34"):
        with pytest.raises(Failed, match="changed meanwhile"):
            write_archive(
                io.BytesIO(), manifest_of({"data/setup-code": described}), [tmp_path / "a"]
            )


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "data/../x",
        "/etc/x",
        "data/keys/../../x",
        "data/keys/.hidden",
        "data\\keys",
        "data/keys/a/b",
        "data/keys",
        "data/",
        "database/x\0",
        "database/\uff4e",
        "database/" + "x" * 65,
        "C:/x",
        "data/x\n",
    ],
)
def test_names(name: str, tmp_path: Path) -> None:
    """F-PA-01, F-SS-06: no name leads out of the folder, and none is odd."""
    with pytest.raises(Failed, match="no backup has"):
        read(forged(manifest_of({name: b"x"})), tmp_path / "out")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == set()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"type": tarfile.GNUTYPE_LONGNAME},
        {"type": tarfile.XHDTYPE},
    ],
)
def test_only_files(fields: dict[str, Any], tmp_path: Path) -> None:
    """F-SS-06: links, devices, sparse files and headers that rename the next file are refused."""
    data = forged(manifest_of({"data/setup-code": b""}), member("data/setup-code", **fields))
    with pytest.raises(Failed, match="something else than files"):
        read(data, tmp_path / "out")
    assert not (tmp_path / "out" / "data" / "setup-code").exists()


def test_list_and_files_agree(tmp_path: Path) -> None:
    """F-SS-06: what the list does not announce is not read: other names, sizes, more, less."""
    good = manifest_of({"data/setup-code": b"code"})
    code = member("data/setup-code", b"code")
    assert read(forged(good, code), tmp_path / "good") == good
    for number, (members, message) in enumerate(
        (
            ([member("data/other", b"code")], "not those of its list"),
            ([member("data/setup-code", b"code2")], "not those of its list"),
            ([member("data/setup-code", b"edoc")], "another checksum"),
            ([code, code], "more follows"),
            ([], "no backup, or it is broken"),
        )
    ):
        with pytest.raises(Failed, match=message):
            read(forged(good, *members), tmp_path / str(number))


def test_announced_sizes(tmp_path: Path) -> None:
    """F-SS-06: a size that is announced makes no file and takes no memory: bytes that came do."""
    huge = msgspec.structs.replace(
        manifest_of({}), files=(Entry("data/setup-code", 10 << 30, "0" * 64),)
    )
    head = member("data/setup-code", size=10 << 30)
    with pytest.raises(Failed, match="cut off"):
        read(forged(huge, head), tmp_path / "out")
    assert (tmp_path / "out" / "data" / "setup-code").stat().st_size <= 1 << 20
    with pytest.raises(Failed, match="does not begin with a list"):
        read(member("manifest.json", size=10 << 30), tmp_path / "out2")


def test_lists(tmp_path: Path) -> None:
    """The list is of this program and format, has few files, and each once."""
    newer = msgspec.json.encode({"format": 2, "program": "ntvmedia", "version": "9", "parts": []})
    many = {f"database/{number}": b"" for number in range(1001)}
    twice = manifest_of(FILES)
    twice = msgspec.structs.replace(twice, files=twice.files * 2)
    lists: list[tuple[bytes | Manifest, str]] = [
        (newer, "format 2"),
        (newer.replace(b"ntvmedia", b"another"), "it is no backup"),
        (b"{}", "it is no backup"),
        (b"[" * 100_000, "it is no backup"),
        (b'{"format": 1, "program": "\xff"}', "it is no backup"),
        (manifest_of(many), "too many files"),
        (twice, "one of them twice"),
        (manifest_of({}, version="\x1b[2J"), "it is no backup"),
        (manifest_of({}, made_at="now\n"), "it is no backup"),
    ]
    for number, (text, message) in enumerate(lists):
        with pytest.raises(Failed, match=message):
            read(forged(text), tmp_path / str(number))


def test_not_an_archive(tmp_path: Path) -> None:
    """Other files are no backup."""
    for number, data in enumerate((b"", b"x" * 600, bytes(1024), member("a", b"b"))):
        with pytest.raises(Failed, match=r"no backup|cut off"):
            read(data, tmp_path / str(number))


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    """G-LC-09: a file that a full disk or a power cut ended early is not put back."""
    data = archive_of(tmp_path)
    # The zeros at the end say nothing.
    for number, size in enumerate(range(0, len(data) - 1024, 97)):
        with pytest.raises(Failed):
            read(data[:size], tmp_path / str(number))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_only_documented_errors(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever the bytes: a whole backup or `Failed`, and no file outside of the folder."""
    good = bytearray(archive_of(tmp_path))
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=8)):
        good[place] = data.draw(st.integers(0, 255))
    folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    try:
        manifest = read(bytes(good), folder)
    except Failed:
        pass
    else:
        assert [entry.name for entry in manifest.files] == list(FILES)
    after = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    assert after - before <= {folder}
