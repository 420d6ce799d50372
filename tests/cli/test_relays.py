"""Tests of ntvmedia.cli.relays: `ntvmedia relay`."""

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
    "source": 0,
    "bitrate_kbps": 900,
    "uptime_seconds": 3725.5,
}
RELAY: dict[str, Any] = {
    "id": "0a1b",
    "description": "door",
    "source": "rtsp://<hidden>@cam/one",
    "fallbacks": ["test:"],
    "target": {"server": "", "application": "liveshow", "stream": "door"},
    "status": STATUS,
}


@pytest.fixture
def run(command: Command) -> Command:
    """Run `ntvmedia relay`."""
    return partial(command, "relay")


def test_list(run: Command, tmp_path: Path) -> None:
    """A line for each: the source that is in use, the target, how long it has been running."""
    status = {**STATUS, "state": "waiting", "reason": "401\x1b[2J", "source": 1}
    away = {"server": "rtmp://a", "application": "x", "stream": "<hidden>"}
    other = {**RELAY, "status": {**status, "uptime_seconds": 0.0}, "target": away}
    page = {"relays": [RELAY, other], "total": 2}
    with serving(tmp_path, [good(page), good(page)]) as asked:
        lines = run("list")[0].splitlines()
        assert json.loads(run("list", "--json")[0]) == page["relays"]
    assert asked_for(asked[0]) == ("GET /relays?page_size=500&page=1", None)
    assert lines[0].split() == ["ID", "STATE", "SOURCE", "TARGET", "KB/S", "UPTIME", "REASON"]
    assert lines[1].split() == [
        *("0a1b", "running", "rtsp://<hidden>@cam/one", "liveshow/door", "900", "1:02:05", "-"),
    ]
    assert lines[2].split() == [
        *("0a1b", "waiting", "test:", "rtmp://a/x/<hidden>", "900", "-", "401\\x1b[2J"),
    ]


def test_many(run: Command, tmp_path: Path) -> None:
    """All pages are asked for."""
    pages = [{"relays": [RELAY] * 500, "total": 501}, {"relays": [RELAY], "total": 501}]
    with serving(tmp_path, [good(page) for page in pages]) as asked:
        assert len(run("list")[0].splitlines()) == 502
    assert asked_for(asked[1])[0] == "GET /relays?page_size=500&page=2"


def test_add(run: Command, tmp_path: Path) -> None:
    """Two words are enough; fields are those of the API, with dots for parts."""
    with serving(tmp_path, [good(RELAY), good(RELAY)]) as asked:
        assert run("add", "test:", "liveshow/door")[0] == "relay 0a1b was added: liveshow/door\n"
        run(
            *("add", "-", "liveshow/door", "on_demand=true", "video.codec=h264"),
            *("video.height=720", 'fallbacks=["test:"]', "description=a door=2"),
            stdin="rtsp://me:pw@cam/one\n",
        )
    target = {"application": "liveshow", "stream": "door"}
    assert asked_for(asked[0]) == ("POST /relays", {"source": "test:", "target": target})
    assert asked_for(asked[1])[1] == {
        "source": "rtsp://me:pw@cam/one",
        "target": target,
        "on_demand": True,
        "video": {"codec": "h264", "height": 720},
        "fallbacks": ["test:"],
        "description": "a door=2",
    }


def test_target_elsewhere(run: Command, tmp_path: Path) -> None:
    """An address of another server is taken apart."""
    with serving(tmp_path, [good(RELAY)]) as asked:
        run("add", "test:", "rtmps://up:pw@a.example:443/live/two/key?sig=1")
    assert asked_for(asked[0])[1]["target"] == {
        "server": "rtmps://up:pw@a.example:443",
        "application": "live/two",
        "stream": "key",
        "query": "sig=1",
    }


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("add", "test:", "liveshow"), "the target is APPLICATION/STREAM"),
        (("add", "test:", "rtmp://host/app"), "come an application and a stream"),
        (("add", "-", "a/b"), "source: there is nothing on standard input"),
        (("set", "0a1b"), "nothing to change"),
        (("add", "test:", "a/b", "video=copy", "video.codec=h264"), "video has a value already"),
    ],
)
def test_wrong(run: Command, words: tuple[str, ...], text: str) -> None:
    """What is wrong is told before anybody is asked."""
    assert text in run(*words, status=1)[1]


def test_wrong_field(run: Command) -> None:
    """A field needs a value."""
    for word in ("loop", "=1", "video..codec=1"):
        with pytest.raises(SystemExit) as ended:
            run("add", "test:", "a/b", word)
        assert ended.value.code == 2


def test_start_stop_log(run: Command, tmp_path: Path) -> None:
    """What became of it is said in a line; the log has times."""
    stopped = {**STATUS, "state": "stopped", "reason": "stopped by an operator"}
    log = {"lines": [{"at": 0.0, "text": "started\x07"}]}
    with serving(tmp_path, [good(STATUS), good(stopped), good(log), good(RELAY)]) as asked:
        assert run("start", "0a1b")[0] == "relay 0a1b is running\n"
        assert run("stop", "0a/b")[0] == "relay 0a/b is stopped: stopped by an operator\n"
        assert run("log", "0a1b")[0] == "1970-01-01T00:00:00+00:00 started\\x07\n"
        assert json.loads(run("show", "0a1b")[0]) == RELAY
    assert [asked_for(x)[0] for x in asked] == [
        "POST /relays/0a1b/start",
        "POST /relays/0a%2Fb/stop",
        "GET /relays/0a1b/log",
        "GET /relays/0a1b",
    ]


def test_set(run: Command, tmp_path: Path) -> None:
    """Fields of one change; a secret may come from standard input."""
    with serving(tmp_path, [good(RELAY)]) as asked:
        out, _err = run(
            *("set", "0a1b", "source=-", "target.stream=door", "target.query=-", "description=-"),
            stdin="rtsp://me:pw@cam/one\r\ntoken=1\n",
        )
    assert out == "relay 0a1b was changed: liveshow/door\n"
    assert asked_for(asked[0]) == (
        "PATCH /relays/0a1b",
        {
            "source": "rtsp://me:pw@cam/one",
            "target": {"stream": "door", "query": "token=1"},
            "description": "-",
        },
    )


def test_delete(run: Command, tmp_path: Path) -> None:
    """It is not deleted by mistake."""
    gone = answer(b"", b"204 No Content")
    with serving(tmp_path, [good(RELAY), good(RELAY), gone]) as asked:
        assert "use --yes" in run("delete", "0a1b", status=1)[1]
        assert run("delete", "0a1b", "--yes")[0] == "relay 0a1b was deleted\n"
    assert asked_for(asked[2])[0] == "DELETE /relays/0a1b"


def test_probe(run: Command, tmp_path: Path) -> None:
    """What is in a source is a table; what nobody knows is a dash."""
    track = {
        "kind": "video",
        "codec": "h264",
        "profile": "",
        "width": 640,
        "height": 360,
        "frame_rate": 29.97,
        "sample_rate": 0,
        "channels": 0,
        "bitrate_kbps": 800,
    }
    found = {"format": "mpegts", "bitrate_kbps": 900, "tracks": [track]}
    with serving(tmp_path, [good(found), good(found)]) as asked:
        lines = run("probe", "udp://239.1.1.1:5000")[0].splitlines()
        assert json.loads(run("probe", "udp://239.1.1.1:5000", "--json")[0]) == found
    assert asked_for(asked[0])[1] == {"source": "udp://239.1.1.1:5000"}
    assert lines[0] == "mpegts, 900 kb/s"
    assert lines[2].split() == ["video", "h264", "-", "640x360", "29.97", "-", "-", "800"]


def test_nobody_runs(run: Command, tmp_path: Path) -> None:
    """There has to be a server."""
    assert run("list", status=1)[1] == f"ntvmedia: no server runs with --data {tmp_path}\n"
