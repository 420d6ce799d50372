"""Tests of ntvmedia.cli.signing: `ntvmedia sign`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ntvmedia.access.keys import keep_signing_key
from ntvmedia.access.signing import check
from ntvmedia.cli.main import main
from ntvmedia.media.names import parse_path

KEY = bytes(range(32))
OTHER = bytes(32)
NOW = 1_767_225_600.25


def problem_of(query: str, name: str, now: float, peer: str = "192.0.2.7:1") -> str:
    """Say what a server finds wrong with what was printed."""
    address = parse_path(f"{name}?{query.strip()}")
    keys = {"": KEY, "k1": OTHER}
    return check(lambda id, _application: keys[id], address.key, address.query, peer, now).problem


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a key, at a known time."""
    keep_signing_key(tmp_path, lambda count: KEY[:count])
    monkeypatch.setattr(time, "time", lambda: NOW)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expires"),
    [
        ([], 1_767_225_601 + 24 * 3600),
        (["--hours", "1"], 1_767_225_601 + 3600),
        (["--hours=0.5"], 1_767_225_601 + 1800),
        (["--hours", "87660"], 1_767_225_601 + 87660 * 3600),
    ],
)
@pytest.mark.parametrize("name", ["liveshow/a", "/liveshow/a", "演播室/a", "%E6%BC%94/b"])
def test_sign(
    data: Path, capsys: pytest.CaptureFixture[str], name: str, words: list[str], expires: int
) -> None:
    """It prints what the server accepts until that moment, and nothing else."""
    assert main(["sign", name, f"--data={data}", *words]) == 0
    query, err = capsys.readouterr()
    assert (query[-1], query.count("\n"), err) == ("\n", 1, "")
    assert query.startswith(f"expires={expires}&sign=")
    assert problem_of(query, name, NOW) == ""
    assert problem_of(query, name, expires - 0.001) == ""
    assert problem_of(query, name, expires) != ""


def test_options(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address may be for one network, for so many viewers, and signed with a key of the API."""
    file = data / "k1"
    file.write_text(OTHER.hex())
    file.chmod(0o600)
    words = ["--ip=192.0.2.0/24", "--viewers=3", "--kid=k1", f"--key-file={file}"]
    assert main(["sign", "liveshow/a", f"--data={data}", *words]) == 0
    query = capsys.readouterr().out
    assert query.endswith("&ip=192.0.2.0%2F24&viewers=3&kid=k1\n")
    assert problem_of(query, "liveshow/a", NOW) == ""
    assert problem_of(query, "liveshow/a", NOW, "192.0.3.1:1") != ""
    assert main(["sign", "liveshow/a", f"--data={data}", "--ip=::FFFF:192.0.2.7"]) == 0
    assert capsys.readouterr().out.endswith("&ip=192.0.2.7\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--ip=all"],
        ["--ip=192.0.2.7/24"],
        ["--viewers=0"],
        ["--viewers=1000000000"],
        ["--kid=a b", "--key-file=x"],
        ["--kid=k1"],
        ["--key-file=x"],
    ],
)
def test_wrong_options(data: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """What is wrong is told in one line or so, and nothing is printed."""
    try:
        status = main(["sign", "liveshow/a", f"--data={data}", *words])
    except SystemExit as error:
        status = int(str(error.code))
    assert status != 0
    out, err = capsys.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    assert words[0].partition("=")[0] in err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("liveshow", "an address has an application and a stream name"),
        ("a/b/c", "exactly one application"),
        ("a/b.flv", 'stream name may not end in ".flv"'),
        ("mserver/a", "reserved"),
        ("a/\x1b", r"not allowed: '\x1b'"),
    ],
)
def test_names(data: Path, capsys: pytest.CaptureFixture[str], name: str, complaint: str) -> None:
    """What is no stream is refused in one line."""
    assert main(["sign", name, "-d", str(data)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It makes no key: a server that runs would not know it."""
    assert main(["sign", "a/b", f"--data={tmp_path}"]) == 1
    assert "keys/signing: cannot be read: No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "87661", "x", ""])
def test_hours(data: Path, capsys: pytest.CaptureFixture[str], hours: str) -> None:
    """A length of time that is none is a mistake in usage."""
    with pytest.raises(SystemExit) as ended:
        main(["sign", "a/b", f"--data={data}", f"--hours={hours}"])
    assert ended.value.code == 2
    assert "--hours" in capsys.readouterr().err
