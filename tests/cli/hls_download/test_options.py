"""Tests of ntvmedia.cli.hls_download.options."""

from __future__ import annotations

import argparse
from ipaddress import ip_network
from pathlib import Path

import pytest

from ntvmedia.cli.failures import Failed
from ntvmedia.cli.hls_download.options import add_options, read_key

URL = "https://example.org/index.m3u8"
KEY = bytes(range(16))


def parse(*words: str) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="ntvmedia hls-download")
    add_options(parser)
    return parser.parse_args([URL, *words])


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return why a command line is refused."""
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    assert ended.value.code == 2
    return capsys.readouterr().err.rpartition("error: ")[2].strip()


def test_defaults() -> None:
    """What nobody said."""
    assert vars(parse()) == {
        "url": URL,
        "output": None,
        "force": False,
        "resume": False,
        "partial": False,
        "list": False,
        "variant": "best",
        "audio": [],
        "begin": None,
        "end": None,
        "duration": None,
        "jobs": 8,
        "header": [],
        "referer": None,
        "user_agent": None,
        "cookies": None,
        "proxy": None,
        "key": None,
        "retries": 8,
        "timeout": 30.0,
        "allow": [],
    }


def test_all() -> None:
    """All that may be said."""
    found = parse(
        *("-o", "a/b.mp4", "--force", "--resume", "--partial", "--variant", "720p"),
        *("--audio", "en", "--audio", "Deutsch", "--from", "1:00", "--to", "1:02:03.5"),
        *("--duration", "90", "-j", "20", "-H", "X-A: b: c", "-H", "x-d:e", "--referer", "r"),
        *("--user-agent", "u a", "--cookies", "a=b", "--proxy", "http://p:1", "--key", "k"),
        *("--retries", "0", "--timeout", "2.5", "--allow", "10.0.0.0/8", "--allow", "::1"),
    )
    assert found.output == Path("a/b.mp4")
    assert (found.force, found.resume, found.partial) == (True, True, True)
    assert found.audio == ["en", "Deutsch"]
    assert (found.begin, found.end, found.duration) == (60.0, 3723.5, 90.0)
    assert found.header == [("X-A", "b: c"), ("x-d", "e")]
    assert (found.jobs, found.retries, found.timeout) == (20, 0, 2.5)
    assert found.allow == [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("90.25", 90.25),
        ("1:30", 90.0),
        ("01:30.5", 90.5),
        ("90:00", 5400.0),
        ("1:02:03", 3723.0),
        ("100:00:00", 360_000.0),
        ("999999999", 999_999_999.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """Seconds, minutes and seconds, or hours too."""
    assert parse("--from", text).begin == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1:", ":1", "1:2:3:4", "1,5", "1e3", "inf", "nan", ".5", "1.", " 1"]
)
@pytest.mark.parametrize("option", ["--from", "--to", "--duration", "--timeout"])
def test_no_times(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is none is refused, with its option."""
    assert option in refused(capsys, f"{option}={text}")


@pytest.mark.parametrize("option", ["--duration", "--timeout"])
def test_no_time_at_all(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Some must be more than nothing."""
    assert "expected more than 0" in refused(capsys, option, "0:00.0")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--jobs", "0"), "expected 1 to 20"),
        (("--jobs", "21"), "expected 1 to 20"),
        (("--jobs", "x"), "number"),
        (("--jobs", "1.5"), "number"),
        (("--retries", "-1"), "expected 0 to 1000"),
        (("--retries", "1001"), "expected 0 to 1000"),
        (("--header", "no colon"), "NAME: VALUE"),
        (("--header", ": x"), "NAME: VALUE"),
        (("--header", "A B: x"), "NAME: VALUE"),
        (("--header", "A\r\nB: x"), "NAME: VALUE"),
        (("--header", "A: x\r\nB: y"), "printable"),
        (("--header", "A: \u00e4"), "printable"),
        (("--header", "\u00e4: x"), "NAME: VALUE"),
        (("--referer", "a\nb"), "printable"),
        (("--user-agent", "a\0b"), "printable"),
        (("--allow", "10.0.0.1/8"), "host bits"),
        (("--allow", "example.org"), "IPv4 or IPv6"),
        (("another",), "unrecognized"),
    ],
)
def test_refused(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be meant, before anything is asked for."""
    assert told in refused(capsys, *words)


# Keys


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper(), f"0x{KEY.hex()}"])
def test_key_digits(text: str) -> None:
    """32 digits."""
    assert read_key(text) == KEY


@pytest.mark.parametrize(
    "content", [KEY, KEY.hex().encode(), f" 0x{KEY.hex().upper()}\r\n".encode()]
)
def test_key_file(content: bytes, tmp_path: Path) -> None:
    """A file of 16 bytes, or of 32 digits."""
    path = tmp_path / "a.key"
    path.write_bytes(content)
    assert read_key(str(path)) == KEY


@pytest.mark.parametrize(
    "content", [b"", KEY[:15], KEY + b"x", b"x" * 32, KEY.hex().encode() * 2, b"\xff" * 10**6]
)
def test_no_key_in_the_file(content: bytes, tmp_path: Path) -> None:
    """What else is in it is no key, and is not shown."""
    path = tmp_path / "a.key"
    path.write_bytes(content)
    with pytest.raises(Failed) as caught:
        read_key(str(path))
    assert str(caught.value) == (
        f"--key {path}: the file has no key: neither 16 bytes nor 32 digits"
    )


@pytest.mark.parametrize("text", [KEY.hex()[:-1], KEY.hex() + "0", "no such file", "", "a\0b", "/"])
def test_no_key(text: str) -> None:
    """Neither digits nor a file; a secret that is one digit too long is not shown."""
    with pytest.raises(Failed) as caught:
        read_key(text)
    message = str(caught.value)
    assert message.startswith("--key: neither 32 hexadecimal digits nor a file: ")
    assert KEY.hex()[:20] not in message
