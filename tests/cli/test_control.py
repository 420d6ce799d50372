"""Tests of ntvmedia.cli.control: asking the running server."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from ntvmedia.admin.control import SOCKET_NAME as served_name
from ntvmedia.cli import control
from ntvmedia.cli.control import SOCKET_NAME, ControlClient, NotRunning, Refusal
from ntvmedia.cli.failures import Failed
from tests.cli.sockets import answer, serving


def test_same_socket() -> None:
    """Both ends have the same name for it."""
    assert served_name == SOCKET_NAME


def test_asking(tmp_path: Path) -> None:
    """JSON there and back; what has no body has none."""
    with serving(tmp_path, [answer(b'{"x": "\\u00e9"}'), answer(b"", b"204 No Content")]) as asked:
        client = ControlClient(tmp_path)
        assert client.ask("PATCH", "/a/%C3%A9", {"é": [1, None]}) == {"x": "é"}
        assert client.ask("DELETE", "/b") is None
    head, _mark, body = asked[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"PATCH /a/%C3%A9 HTTP/1.1"
    assert b"Host: localhost" in lines
    assert b"Content-Type: application/json" in lines
    assert body == b'{"\\u00e9": [1, null]}'
    assert asked[1].startswith(b"DELETE /b HTTP/1.1\r\n")
    assert b"content-type" not in asked[1].lower()


def test_long_path(tmp_path: Path) -> None:
    """A data folder whose path does not fit into an address is found all the same."""
    data = tmp_path / ("x" * 100) / ("é" * 50)
    data.mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    with serving(data, [answer(b"{}")]):
        assert ControlClient(data).ask("GET", "/") == {}
    with pytest.raises(NotRunning):
        ControlClient(data).ask("GET", "/")
    assert len(os.listdir("/proc/self/fd")) == before


def test_not_running(tmp_path: Path) -> None:
    """No folder, no socket, and the socket of a dead server: nobody runs, nothing was sent."""
    for data in (tmp_path, tmp_path / "none", tmp_path / ("x" * 120)):
        with pytest.raises(NotRunning):
            ControlClient(data).ask("GET", "/")
    with serving(tmp_path, []):
        pass
    assert (tmp_path / SOCKET_NAME).is_socket()
    with pytest.raises(NotRunning):
        ControlClient(tmp_path).ask("GET", "/")


def test_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of somebody else is there: its database is not touched behind its back."""

    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(Failed, match=r"control\.sock: Permission denied$"):
        ControlClient(tmp_path).ask("GET", "/")


def problem(detail: str, kind: str = "about:blank", field: str = "") -> bytes:
    """Return problem details as the server writes them."""
    errors = [{"field": field, "detail": detail}] if field else []
    return json.dumps({"type": kind, "detail": detail, "errors": errors}).encode("ascii")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(problem("a: no", field="a"), b"400 No"), ("a: no", 400, "", "a")),
        (
            answer(problem("the disk is full", "/x/problems/store-error"), b"503 No"),
            ("the disk is full", 503, "store-error", ""),
        ),
        (answer(b"[]", b"500 Oh"), ("the server answers 500", 500, "", "")),
        (answer(b"<html>", b"502 Oh"), ("the server answers 502", 502, "", "")),
        (answer(b'{"detail": 1}', b"404 No"), ("the server answers 404", 404, "", "")),
        (
            answer(b'{"detail": "x", "type": "y", "errors": [1]}', b"404 No"),
            ("the server answers 404", 404, "", ""),
        ),
        (answer(b"", b"403 No"), ("the server answers 403", 403, "", "")),
    ],
)
def test_refusals(tmp_path: Path, reply: bytes, expected: tuple[str, int, str, str]) -> None:
    """What the server says against it is passed on: problem details (RFC 9457)."""
    with serving(tmp_path, [reply]), pytest.raises(Refusal) as refused:
        ControlClient(tmp_path).ask("GET", "/")
    error = refused.value
    assert (str(error), error.status, error.kind, error.field) == expected


def test_other_content(tmp_path: Path) -> None:
    """What is no JSON is fetched with its type; what never ends is not begun."""
    png = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG"
    live = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1"
    with serving(tmp_path, [png, live]):
        client = ControlClient(tmp_path)
        assert client.fetch("GET", "/") == (b"\x89PNG", "image/png")
        with pytest.raises(Failed, match="goes on for ever"):
            client.fetch("GET", "/")


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long table, whose length nobody said beforehand, is not taken for whole when it is cut."""
    monkeypatch.setattr(control, "_MAX_ANSWER_BYTES", 6)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole, longer = b"4\r\na,b\n\r\n2\r\n1,\r\n0\r\n\r\n", b"7\r\na,b\n1,2\r\n0\r\n\r\n"
    with serving(tmp_path, [head + whole, head + longer]):
        client = ControlClient(tmp_path)
        assert client.fetch("GET", "/") == (b"a,b\n1,", "text/csv")
        with pytest.raises(Failed, match="too long for this"):
            client.fetch("GET", "/")


@pytest.mark.parametrize(
    "reply",
    [
        *(b"", b"nonsense\r\n\r\n", answer(b"{")),
        answer(b"{}      ")[:-6],  # cut off
    ],
)
def test_no_answer(tmp_path: Path, reply: bytes) -> None:
    """A server that dies meanwhile, or is none of ours, is no stopped one."""
    with serving(tmp_path, [reply]), pytest.raises(Failed, match=r"^the server does not answer: ."):
        ControlClient(tmp_path).ask("GET", "/")


def test_hanging(tmp_path: Path) -> None:
    """One that does not answer is not waited for without end."""
    with serving(tmp_path, [None]), pytest.raises(Failed, match="may have done it or not"):
        ControlClient(tmp_path, timeout=0.05).ask("GET", "/")
