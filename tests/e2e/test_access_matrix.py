"""B-AC-01: rules of access, limits and their changes, with real clients of each protocol.

In memory all rules meet all protocols (`tests/endpoints/test_access_matrix.py`); here a few of them
meet FFmpeg, to see that it understands the refusals.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ntvmedia.access.keys import read_signing_key
from ntvmedia.access.signing import signed_query
from ntvmedia.media import StreamKey
from tests.e2e.clients import publish_command
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server

STREAM = "liveshow/cam"
PROTOCOLS = ("rtmp", "rtsp", "rtsp-udp", "flv", "ts", "hls")
# FFmpeg's words for a status.
_TOLD = {"403": 403, "503": 503, "5XX": 503}

GOOD_PAGE = "https://www.example.org/watch"


def address(server: Server, protocol: str, query: str = "") -> str:
    """Return where a protocol plays the stream."""
    tail = f"?{query}" if query else ""
    if protocol == "rtmp":
        return server.rtmp(STREAM + tail)
    if protocol.startswith("rtsp"):
        return server.rtsp(STREAM + tail)
    extension = "m3u8" if protocol == "hls" else protocol
    return server.http(f"/{STREAM}.{extension}{tail}")


def player(
    server: Server,
    protocol: str,
    folder: Path,
    *,
    query: str = "",
    page: str = "",
    seconds: float = 0.0,
) -> Program:
    """Play with FFmpeg, for some seconds or to the end."""
    options: list[str] = []
    if protocol == "rtsp":
        options += ["-rtsp_transport", "tcp"]
    if protocol == "rtsp-udp":
        options += ["-rtsp_transport", "udp"]
    if page and protocol == "rtmp":
        options += ["-rtmp_pageurl", page]
    elif page and not protocol.startswith("rtsp"):
        options += ["-headers", f"Referer: {page}\r\n"]
    length = ["-t", str(seconds)] if seconds else []
    url = address(server, protocol, query)
    command = ["ffmpeg", "-nostdin", "-v", "error", *options, "-i", url, *length]
    return Program([*command, "-c", "copy", "-f", "null", "-"], folder, f"ffmpeg-{protocol}")


def all_play(
    server: Server,
    folder: Path,
    *,
    query: str = "",
    page: str = "",
    protocols: tuple[str, ...] = PROTOCOLS,
) -> Mapping[str, int]:
    """Have all play for a second; return whether each could: 0, or the status of its refusal."""
    found: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        programs = {
            name: stack.enter_context(
                player(server, name, folder, query=query, page=page, seconds=1.0)
            )
            for name in protocols
        }
        for name, program in programs.items():
            status = program.wait(30)
            # FFmpeg names the status; its RTMP has one error for all that it is told.
            told = re.search(r"\b(403|5XX|503)\b", program.errors)
            found[name] = _TOLD[told[0]] if told and status else int(status != 0)
    return found


def change(server: Server, **fields: object) -> None:
    """Change the application."""
    server.api("applications/liveshow", "PATCH", fields)


@pytest.fixture(scope="module")
def live(
    shared_server: Server, tmp_path_factory: pytest.TempPathFactory, clip: Path
) -> Iterator[Server]:
    """A server with a stream that does not end."""
    command = publish_command(clip, shared_server.rtmp(STREAM))
    command[command.index("-i") : command.index("-i")] = ["-stream_loop", "-1"]
    with Program(command, tmp_path_factory.mktemp("publisher"), "publisher"):
        wait_until(
            lambda: any(x["name"] == STREAM and x["tracks"] for x in _streams(shared_server)),
            "the stream was there",
        )
        yield shared_server


@pytest.fixture(autouse=True)
def as_it_was(live: Server) -> Iterator[None]:
    """Take back what a test has changed."""
    yield
    change(live, signed=False, referers=[], allow_empty_referer=True, max_players=0)
    live.api("preferences", "PATCH", {"max_players": 0})


def _streams(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = server.api("streams")["streams"]
    return found


def everywhere(outcome: int, protocols: tuple[str, ...] = PROTOCOLS) -> dict[str, int]:
    """Return the same outcome for all, but that FFmpeg tells no status of RTMP."""
    return {name: 1 if outcome and name == "rtmp" else outcome for name in protocols}


def test_signed(live: Server, tmp_path: Path) -> None:
    """F-AC-08: who has a signed address plays, on each protocol, and nobody else."""
    key = read_signing_key(live.folder / "data")
    query = signed_query(key, StreamKey("liveshow", "cam"), int(time.time()) + 600)
    assert all_play(live, tmp_path) == everywhere(0)
    change(live, signed=True)
    assert all_play(live, tmp_path) == everywhere(403)
    assert all_play(live, tmp_path, query=query) == everywhere(0)


def test_referers(live: Server, tmp_path: Path) -> None:
    """P-305: who names a page that is allowed plays; RTSP cannot name one."""
    change(live, referers=["example.org"], allow_empty_referer=False)
    assert all_play(live, tmp_path) == everywhere(403)
    named = tuple(name for name in PROTOCOLS if not name.startswith("rtsp"))
    assert all_play(live, tmp_path, page=GOOD_PAGE, protocols=named) == everywhere(0, named)
    status, page = live.get(f"/{STREAM}", {"Referer": GOOD_PAGE})
    assert status == 200
    session = page.partition(b'name="page-session" content="')[2].partition(b'"')[0].decode()
    assert session
    own = {"Referer": live.http(f"/{STREAM}")}
    assert live.get(f"/{STREAM}.m3u8?page={session}", own)[0] == 200
    assert live.get(f"/{STREAM}.m3u8", own)[0] == 403
    assert live.get(f"/{STREAM}", {"Referer": "https://example.org.evil.net/"})[0] == 403


def test_full(live: Server, tmp_path: Path) -> None:
    """P-301, G-RS-03: a clear refusal where there is no room, and room when one has left."""
    live.api("preferences", "PATCH", {"max_players": 1})
    with player(live, "flv", tmp_path):
        wait_until(lambda: live.api("limits")["players"]["now"] == 1, "somebody played")
        assert all_play(live, tmp_path) == everywhere(503)
        assert live.api("limits")["refused"] >= len(PROTOCOLS)
    wait_until(lambda: live.api("limits")["players"]["now"] == 0, "he had left")
    assert all_play(live, tmp_path, protocols=("rtsp",)) == {"rtsp": 0}


def test_sent_away(live: Server, tmp_path: Path) -> None:
    """F-AC-09: all who may no longer play end, on each protocol, when the rule changes."""
    with contextlib.ExitStack() as stack:
        programs = {name: stack.enter_context(player(live, name, tmp_path)) for name in PROTOCOLS}

        def playing() -> bool:
            stream = next(x for x in _streams(live) if x["name"] == STREAM)
            return stream["viewers"] == len(PROTOCOLS)

        wait_until(playing, "all played")
        assert all(program.is_running for program in programs.values())
        change(live, signed=True)
        wait_until(lambda: live.api("limits")["players"]["now"] == 0, "all were sent away", 5)
        # What plays from datagrams notices by its connection, or by its own patience.
        for name in (x for x in PROTOCOLS if x != "rtsp-udp"):
            wait_until(lambda name=name: not programs[name].is_running, f"{name} ended", 20)  # type: ignore[misc]
