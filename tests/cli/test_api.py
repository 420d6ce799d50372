"""Tests of ntvmedia.cli.api: `ntvmedia api`."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ntvmedia.admin.operations import ROOT as SERVED_ROOT
from ntvmedia.cli.api import ROOT
from ntvmedia.cli.main import main
from tests.cli.sockets import answer, serving

Run = Callable[..., tuple[str, str]]


def good(body: bytes, media_type: bytes = b"application/json") -> bytes:
    """Return an answer with a type."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ntvmedia api` on the data of the test; returns its output and its complaints."""

    def do(*words: str, status: int = 0, stdin: str = "") -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        found = main(["api", f"--data={tmp_path}", *words])
        out, err = capsys.readouterr()
        assert found == status, err
        return out, err

    return do


def first_line(request: bytes) -> bytes:
    """Return what was asked."""
    return request.partition(b" HTTP/1.1\r\n")[0]


def test_body_that_is_no_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in as other bytes is told in one line, before anybody is asked."""
    monkeypatch.setattr(
        io, "StringIO", lambda _text: io.TextIOWrapper(io.BytesIO(b"\xff"), "utf-8")
    )
    _out, err = run("POST", "/users", "-", status=1)
    assert err == "ntvmedia: the body is no text: invalid start byte\n"


def test_reader_with_enough(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ntvmedia api GET /audit | head -1` ends without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output, serving(tmp_path, [good(b'{"a":1}')]):
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["api", f"--data={tmp_path}", "GET", "/audit"]) == 1
        output.flush()


def test_same_root() -> None:
    """Both ends have the same name for it."""
    assert ROOT == SERVED_ROOT


def test_asking(run: Run, tmp_path: Path) -> None:
    """JSON is printed as JSON, for people and programs."""
    with serving(tmp_path, [good(b'{"a":"\xc3\xa9"}')]) as asked:
        out, _err = run("GET", "/streams?page=2&q=a%20b")
    assert json.loads(out) == {"a": "é"}
    assert out.isascii()
    assert first_line(asked[0]) == b"GET /mserver/api/v1/streams?page=2&q=a%20b"


def test_sending(run: Run, tmp_path: Path) -> None:
    """A body is sent as JSON, from the command line or from standard input; 204 prints nothing."""
    gone = answer(b"", b"204 No Content")
    with serving(tmp_path, [good(b"{}"), good(b"{}"), gone]) as asked:
        run("patch", "applications/演播室", '{"enabled": false}')
        run("POST", "/mserver/api/v1/users", "-", stdin='{"name": "é"}')
        assert run("DELETE", "/users/x")[0] == ""
    assert first_line(asked[0]) == (
        b"PATCH /mserver/api/v1/applications/%E6%BC%94%E6%92%AD%E5%AE%A4"
    )
    assert b"Content-Type: application/json\r\n" in asked[0]
    assert json.loads(asked[0].partition(b"\r\n\r\n")[2]) == {"enabled": False}
    assert first_line(asked[1]) == b"POST /mserver/api/v1/users"
    assert json.loads(asked[1].partition(b"\r\n\r\n")[2]) == {"name": "é"}
    assert b"content-type" not in asked[2].lower()


def test_other_content(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A picture or a table comes out as it is."""
    with serving(tmp_path, [good(b"\x89PNG\r\n\x1a\n\x00", b"image/png")]):
        assert main(["api", f"--data={tmp_path}", "GET", "/x.png"]) == 0
    assert capfdbinary.readouterr().out == b"\x89PNG\r\n\x1a\n\x00"


def test_refused(run: Run, tmp_path: Path) -> None:
    """The detail of the problem is told in one line; its words do not control the terminal."""
    problem = {"type": "about:blank", "detail": "name: no\n\x1b[2J", "errors": []}
    with serving(tmp_path, [answer(json.dumps(problem).encode(), b"400 No")]):
        assert run("GET", "/x", status=1) == ("", "ntvmedia: name: no \\x1b[2J\n")


def test_nobody_runs(run: Run, tmp_path: Path) -> None:
    """There has to be a server."""
    assert (
        run("GET", "/status", status=1)[1] == f"ntvmedia: no server runs with --data {tmp_path}\n"
    )


@pytest.mark.parametrize("body", ["{", "nul", "[" * 100_000, "{} {}"])
def test_wrong_body(run: Run, tmp_path: Path, body: str) -> None:
    """What is no JSON is told, and nobody is asked."""
    with serving(tmp_path, []) as asked:
        assert "the body is no JSON" in run("POST", "/x", "-", status=1, stdin=body)[1]
    assert asked == []


def test_too_long(run: Run) -> None:
    """Nor what is far too long."""
    assert "longer than" in run("POST", "/x", "-", status=1, stdin="1" * (2 << 20))[1]


def test_wrong_method(run: Run) -> None:
    """A method is one of few."""
    with pytest.raises(SystemExit) as ended:
        run("FETCH", "/x")
    assert ended.value.code == 2


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/é", "/\x00"])
def test_hostile_path(run: Run, tmp_path: Path, path: str) -> None:
    """What is typed makes one line of a request."""
    with serving(tmp_path, [good(b"{}")]) as asked:
        run("GET", path)
    assert asked[0].startswith(b"GET /mserver/api/v1/")
    assert first_line(asked[0]).count(b" ") == 1
    assert b"\r\nX: y" not in asked[0]
