"""What downloads are tested with, as curl sees it: the server does the wrong that it is told to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e import hostile_server as wrong
from tests.e2e.hostile_server import HostileServer, LiveList
from tests.e2e.processes import Program, run

# Statuses of curl: a part of the file, an empty reply, too slow, a reset, too many redirects.
FAULTS: dict[str, tuple[wrong.Action, tuple[int, ...]]] = {
    "404": (wrong.status(404), (22,)),
    "stalled head": (wrong.stall_head, (28,)),
    "stalled body": (wrong.stall_body, (28,)),
    "broken off": (wrong.break_off, (18,)),
    "reset": (wrong.break_reset, (56, 18)),
    "closed": (wrong.refuse_words, (52,)),
    "too short": (wrong.wrong_length(10), (18,)),
    "loop": (wrong.redirect("/x.ts"), (47,)),
    "no length": (wrong.no_length, (0,)),
    "endless": (wrong.endless(b"x", bytes(100_000)), (28,)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of 100,000 bytes."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "x.ts").write_bytes(bytes(range(250)) * 400)
    return tmp_path / "web"


def curl(folder: Path, *words: str, statuses: tuple[int, ...] = (0,)) -> bytes:
    """Run curl, and return what it printed."""
    with Program(["curl", "-s", "-f", "-L", "--max-time", "1", *words], folder.parent) as program:
        assert program.wait() in statuses, program.tail()
        return program.output


@pytest.mark.parametrize("name", FAULTS)
def test_faults(folder: Path, name: str) -> None:
    """A fault comes as often as it is wanted, and then the file does."""
    action, statuses = FAULTS[name]
    with HostileServer(folder) as web:
        web.on("/x.ts", action, times=60)
        curl(folder, web.url("/x.ts"), statuses=statuses)
        web.forget()
        assert curl(folder, web.url("/x.ts")) == (folder / "x.ts").read_bytes()
        assert web.counts() == {"/x.ts": 1}
        assert web.whole() == ["/x.ts"]


def test_ranges(folder: Path) -> None:
    """Ranges of a file, two requests on one connection, and a proxy of all hosts."""
    with HostileServer(folder) as web:
        both = curl(folder, "-r", "10-19", web.url("/x.ts"), web.url("/x.ts"))
        assert both == bytes(range(10, 20)) * 2
        assert len({x.port for x in web.requests}) == 1
        curl(folder, "-x", web.url(""), "http://nowhere.invalid/x.ts")
        assert web.requests[-1].target == "http://nowhere.invalid/x.ts"


def test_pace(folder: Path) -> None:
    """A delay and a pace for each connection."""
    with HostileServer(folder, delay_seconds=0.1, bytes_per_second=400_000) as web:
        begin = time.monotonic()
        run(["curl", "-s", web.url("/x.ts")], folder.parent)
        assert 0.3 < time.monotonic() - begin < 2


def test_live_list(folder: Path) -> None:
    """A list that slides, over what it has once and once more, and ends."""
    names = [f"{number}.ts" for number in range(3)]
    whole = "".join(f"#EXTINF:1,\n{name}\n" for name in names)
    with HostileServer(folder) as web:
        web.on("/x.m3u8", LiveList(whole, window=2, step_seconds=0.1, laps=2))
        first = curl(folder, web.url("/x.m3u8")).decode()
        time.sleep(0.5)
        last = curl(folder, web.url("/x.m3u8")).decode()
    assert first.splitlines()[3:] == [
        *("#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-DISCONTINUITY-SEQUENCE:0"),
        *("#EXTINF:1,", "0.ts", "#EXTINF:1,", "1.ts"),
    ]
    assert last.splitlines()[3:] == [
        *("#EXT-X-MEDIA-SEQUENCE:4", "#EXT-X-DISCONTINUITY-SEQUENCE:1"),
        *("#EXTINF:1,", "1.ts", "#EXTINF:1,", "2.ts", "#EXT-X-ENDLIST"),
    ]
