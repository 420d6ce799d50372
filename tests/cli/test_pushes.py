"""Tests of ntvmedia.cli.pushes: `ntvmedia push`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.sockets import answer, asked_for, good, serving

STATUS: dict[str, Any] = {
    "state": "running",
    "reason": "",
    "bitrate_kbps": 900,
    "dropped": 7,
    "uptime_seconds": 61.0,
}
PUSH: dict[str, Any] = {
    "id": "0a1b",
    "description": "",
    "application": "liveshow",
    "streams": ["event", "door*"],
    "server": "rtmps://<hidden>@a.example",
    "target_application": "",
    "target_stream": "<hidden>",
    "status": STATUS,
}


@pytest.fixture
def run(command: Command) -> Command:
    """Run `ntvmedia push`."""
    return partial(command, "push")


def test_list(run: Command, tmp_path: Path) -> None:
    """A line for each: which streams, where to, what was left out since the server was slow."""
    status = {**STATUS, "state": "waiting", "reason": "401\x1b[2J", "uptime_seconds": 0.0}
    names = {"streams": [], "target_application": "live", "target_stream": "$STREAM"}
    other = {**PUSH, **names, "application": "", "status": status}
    page = {"pushes": [PUSH, other], "total": 2}
    with serving(tmp_path, [good(page), good(page)]) as asked:
        lines = run("list")[0].splitlines()
        assert json.loads(run("list", "--json")[0]) == page["pushes"]
    assert asked_for(asked[0]) == ("GET /pushes?page_size=500&page=1", None)
    assert [line.split() for line in lines] == [
        ["ID", "STATE", "STREAMS", "TARGET", "KB/S", "DROPPED", "UPTIME", "REASON"],
        [
            *(
                "0a1b",
                "running",
                "liveshow/event,door*",
                "rtmps://<hidden>@a.example/$APP/<hidden>",
            ),
            *("900", "7", "0:01:01", "-"),
        ],
        [
            *("0a1b", "waiting", "*/*", "rtmps://<hidden>@a.example/live/$STREAM"),
            *("900", "7", "-", "401\\x1b[2J"),
        ],
    ]


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("liveshow", {"application": "liveshow"}),
        ("liveshow/door", {"application": "liveshow", "streams": ["door"]}),
        ("liveshow/cam/*", {"application": "liveshow", "streams": ["cam/*"]}),
        ("*", {"application": ""}),
        ("*/*", {"application": ""}),
        ("*/door", {"application": "", "streams": ["door"]}),
    ],
)
def test_streams(run: Command, tmp_path: Path, what: str, fields: dict[str, Any]) -> None:
    """Which streams is one word."""
    with serving(tmp_path, [good(PUSH)]) as asked:
        run("add", what, "rtmp://b")
    assert asked_for(asked[0]) == ("POST /pushes", {**fields, "server": "rtmp://b"})


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("rtmp://b:1936", {"server": "rtmp://b:1936"}),
        ("rtmp://b/", {"server": "rtmp://b"}),
        ("rtmp://b/live", {"server": "rtmp://b", "target_application": "live"}),
        ("rtmp://b/live/", {"server": "rtmp://b", "target_application": "live"}),
        ("rtmp://b/?t=1", {"server": "rtmp://b", "query": "t=1"}),
        (
            "rtsps://up:pw@b/a/two/k-e-y?t=/1?",
            {
                "server": "rtsps://up:pw@b",
                "target_application": "a/two",
                "target_stream": "k-e-y",
                "query": "t=/1?",
            },
        ),
    ],
)
def test_target(run: Command, tmp_path: Path, target: str, fields: dict[str, Any]) -> None:
    """Where to is one address, of which as much is said as is not as it is here."""
    with serving(tmp_path, [good(PUSH), good(PUSH)]) as asked:
        run("add", "liveshow", target)
        run("add", "liveshow", "-", "enabled=false", stdin=f"{target}\n")
    assert asked_for(asked[0])[1] == {"application": "liveshow", **fields}
    assert asked_for(asked[1])[1] == {"application": "liveshow", **fields, "enabled": False}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("add", "liveshow/", "rtmp://b"), "the streams are APPLICATION"),
        (("add", "", "rtmp://b"), "the streams are APPLICATION"),
        (("add", "liveshow", "b/live"), "the target is an address"),
        (("add", "liveshow", "rtmp://"), "the target is an address"),
        (("add", "liveshow", "-"), "target: there is nothing on standard input"),
        (("set", "0a1b"), "nothing to change"),
    ],
)
def test_wrong(run: Command, words: tuple[str, ...], text: str) -> None:
    """What is wrong is told before anybody is asked."""
    assert text in run(*words, status=1)[1]


def test_what_is_missing(run: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Fields may be left out: they are not among what is required."""
    with pytest.raises(SystemExit):
        run("add", "liveshow")
    assert "the following arguments are required: TARGET\n" in capsys.readouterr().err


def test_change(run: Command, tmp_path: Path) -> None:
    """Fields of one change; a key may come from standard input."""
    with serving(tmp_path, [good(PUSH)]) as asked:
        out, _err = run("set", "0a1b", "target_stream=-", "enabled=true", stdin="k-e-y\n")
    assert out == (
        "push 0a1b was changed: liveshow/event,door* to rtmps://<hidden>@a.example/$APP/<hidden>\n"
    )
    expected = ("PATCH /pushes/0a1b", {"target_stream": "k-e-y", "enabled": True})
    assert asked_for(asked[0]) == expected


def test_start_stop_log_delete(run: Command, tmp_path: Path) -> None:
    """What became of it is said in a line."""
    stopped = {**STATUS, "state": "stopped"}
    log = {"lines": [{"at": 0.0, "text": "started"}]}
    gone = answer(b"", b"204 No Content")
    answers = [good(STATUS), good(stopped), good(log), good(PUSH), gone]
    with serving(tmp_path, answers) as asked:
        assert run("start", "0a1b")[0] == "push 0a1b is running\n"
        assert run("stop", "0a1b")[0] == "push 0a1b is stopped\n"
        assert run("log", "0a1b")[0] == "1970-01-01T00:00:00+00:00 started\n"
        assert run("delete", "0a1b", "--yes")[0] == "push 0a1b was deleted\n"
    assert [asked_for(x)[0] for x in asked] == [
        "POST /pushes/0a1b/start",
        "POST /pushes/0a1b/stop",
        "GET /pushes/0a1b/log",
        "GET /pushes/0a1b",
        "DELETE /pushes/0a1b",
    ]
