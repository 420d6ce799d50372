"""Relay tasks of a real server while their sources, their processes and the server itself fail."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.clients import publish_command
from tests.e2e.conftest import StartServer
from tests.e2e.hostile_server import HostileServer, redirect
from tests.e2e.media import make_clip, packets, pictures
from tests.e2e.processes import Failed, Program, run, wait_until
from tests.e2e.relay_ends import NginxRTMP
from tests.e2e.relays import (
    H264,
    SMALL_CARD,
    Programs,
    Task,
    Viewer,
    children,
    cpu_seconds,
    looping,
)
from tests.e2e.server import Server, free_port

ALLOWED = "outbound.allow=127.0.0.0/8"

# Viewers of a stream whose source is gone outlast what the tests do to it.
PATIENT = ("hub.publisher_grace=60", "hub.play_wait=60", "hub.idle_delay=1")

VIEWERS = 20


class Rig(NamedTuple):
    """What the tests of this module share.

    Attributes:
        server: Ours.
        nginx: Another one.
        web: A third, of `folder`, which counts who asks.
        folder: With `clip.flv`, and `long.flv`, which has it ten times.
        clip: Three seconds.
    """

    server: Server
    nginx: NginxRTMP
    web: HostileServer
    folder: Path
    clip: Path


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Servers for all tests here."""
    folder = tmp_path_factory.mktemp("rig")
    files = folder / "files"
    files.mkdir()
    clip = make_clip(files / "clip.flv", 3.0)
    words: list[str | Path] = ["ffmpeg", "-v", "error", "-stream_loop", "9", "-i", clip]
    run([*words, "-c", "copy", files / "long.flv"], folder)
    (files / "up.mp4").write_text(f"#EXTM3U\n#EXTINF:3,\nfile://{clip}\n#EXT-X-ENDLIST\n", "utf-8")
    (files / "list.mp4").write_text(f"ffconcat version 1.0\nfile {clip.name}\n", "utf-8")
    with ExitStack() as ends:
        nginx = ends.enter_context(NginxRTMP(folder / "nginx"))
        web = ends.enter_context(HostileServer(files))
        server = Server(folder, [*PATIENT, ALLOWED, f"relay.folders={files}"])
        ends.callback(server.close)
        yield Rig(server, nginx, web, files, clip)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Programs that end with the test."""
    with Programs(tmp_path) as programs:
        yield programs


class Trouble(NamedTuple):
    """A source that fails and is there again.

    Attributes:
        name: Of the stream.
        task: That pulls it.
        viewer: Of what it makes.
        fail: Does something to the source.
        mend: Undoes that.
        reason: What the task says meanwhile.
    """

    name: str
    task: Task
    viewer: Viewer
    fail: Callable[[], object]
    mend: Callable[[], object]
    reason: str


def test_sources_fail(rig: Rig, tmp_path: Path, programs: Programs) -> None:
    """E-ST-01, E-ST-02: sources that are silent, frozen or killed; their viewers see one stream.

    One is a server whose publisher freezes: it goes on to send pings, and no media.
    """
    server = rig.server
    frozen = programs.keep(NginxRTMP(tmp_path / "frozen"))
    killed = programs.keep(NginxRTMP(tmp_path / "killed"))
    silent = programs.start(looping(rig.clip, rig.nginx.url("live/silent")), name="publisher")
    programs.start(looping(rig.clip, frozen.url("live/x")), name="publisher")
    programs.start(looping(rig.clip, killed.url("live/x")), name="publisher")
    port = free_port()
    udp = f"udp://127.0.0.1:{port}?pkt_size=1316"
    sender = programs.start(looping(rig.clip, udp, "mpegts"), name="sender")

    def again() -> None:
        programs.keep(NginxRTMP(tmp_path / "again", killed.port))
        programs.start(looping(rig.clip, killed.url("live/x")), name="publisher")

    def trouble(
        name: str, source: str, fail: Any, mend: Any, reason: str = "no media for 2 seconds"
    ) -> Trouble:
        task = Task(server, source, f"liveshow/{name}", stall_seconds=2.0)
        viewer = programs.keep(Viewer(server, task.key, tmp_path))
        return Trouble(name, task, viewer, fail, mend, reason)

    def stopping(program: Program) -> tuple[Callable[[], object], Callable[[], object]]:
        return partial(program.send, signal.SIGSTOP), partial(program.send, signal.SIGCONT)

    def said(one: Trouble) -> bool:
        return any(one.reason in line for line in one.task.log[1:])

    troubles = [
        trouble("silent", rig.nginx.url("live/silent"), *stopping(silent)),
        trouble("frozen", frozen.url("live/x"), *stopping(frozen)),
        trouble("udp", f"udp://127.0.0.1:{port}", *stopping(sender)),
        trouble("killed", killed.url("live/x"), lambda: killed.stop(9), again, ""),
    ]
    for one in troubles:
        one.viewer.wait_for(1.0)
    for one in troubles:
        one.fail()
    for one in troubles:
        wait_until(partial(said, one), f"{one.name} said so")
        one.task.wait_until(lambda status: status["state"] != "running", f"{one.name} not running")
        assert one.viewer.is_watching, one.name
    for one in troubles:
        one.mend()
    for one in troubles:
        status = one.task.wait_for("running")
        assert status["restarts"] >= 1
        one.viewer.wait_for_more(1.0)
        # How long it took is in the times, which never go back.
        one.viewer.assert_steady(60.0)
        one.task.__exit__(None, None, None)


def test_backoff(rig: Rig) -> None:
    """E-ST-04, E-ST-05: after 1, 2 and 4 seconds; after a minute where there is little hope."""
    nobody = Task(rig.server, f"rtmp://127.0.0.1:{free_port()}/live/x", "liveshow/nobody")
    missing = Task(rig.server, rig.web.url("/none.flv"), "liveshow/missing")
    waits: dict[float, float] = {}

    def waited() -> bool:
        status = nobody.status
        if status["state"] == "waiting":
            waits[status["since"]] = status["next_retry_at"] - status["since"]
        return len(waits) == 3

    with nobody, missing:
        wait_until(waited, "it was asked three times", 20)
        for wait, due in zip(waits.values(), (1.0, 2.0, 4.0), strict=True):
            assert due * 0.79 <= wait <= due * 1.21, waits
        status = missing.wait_for("waiting")
        assert status["is_permanent"]
        assert "404" in status["reason"]
        assert status["next_retry_at"] - status["since"] >= 60
        # The first failure is told; the others of the row are not, up to the tenth.
        assert sum("retrying" in line for line in nobody.log) == 1


def test_child_is_killed(rig: Rig, tmp_path: Path, programs: Programs) -> None:
    """A helper process that dies costs its task one restart, and nobody else anything."""
    before = set(children(rig.server.program.pid))
    with (
        Task(rig.server, f"{SMALL_CARD}&tone=300", "liveshow/dies") as dies,
        Viewer(rig.server, dies.key, tmp_path) as viewer,
    ):
        viewer.wait_for(0.5)
        (child,) = set(children(rig.server.program.pid)) - before
        with (
            Task(rig.server, SMALL_CARD, "liveshow/lives") as lives,
            Viewer(rig.server, lives.key, tmp_path) as other,
        ):
            other.wait_for(0.5)
            os.kill(child, signal.SIGKILL)
            dies.wait_until(lambda status: status["restarts"] == 1, "restarted")
            dies.wait_for("running")
            viewer.wait_for_more(1.0)
            other.wait_for_more(1.0)
            other.assert_steady()
            viewer.assert_steady(20.0)
            assert "SIGKILL" in " ".join(dies.log)
            assert (dies.status["restarts"], lives.status["restarts"]) == (1, 0)
    wait_until(lambda: not set(children(rig.server.program.pid)) - before, "both had ended")


def test_server_restarts(start_server: StartServer, tmp_path: Path) -> None:
    """P-603: tasks are there after a restart, and do what they did, or were to do."""
    first = start_server(*PATIENT, ALLOWED)
    card = Task(first, SMALL_CARD, "liveshow/card", description="a picture")
    lazy = Task(first, SMALL_CARD, "liveshow/lazy", on_demand=True)
    off = Task(first, SMALL_CARD, "liveshow/off", enabled=False)
    by_hand = Task(first, SMALL_CARD, "liveshow/hand", enabled=False)
    stopped = Task(first, SMALL_CARD, "liveshow/stopped")
    by_hand.act("start")
    for task in (card, by_hand, stopped):
        task.wait_for("running")
    stopped.act("stop")
    assert stopped.wait_for("stopped")
    wait_until(lambda: len(children(first.program.pid)) == 2, "one of three processes ended")
    served = children(first.program.pid)
    first.program.stop(signal.SIGKILL)
    # None outlives its server, however that ended.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in served), "they ended", 20)
    again = start_server(*PATIENT, ALLOWED, options=(f"--data={first.data}",))
    states = {"card": "running", "lazy": "idle", "off": "stopped", "hand": "stopped"}
    states["stopped"] = "running"

    def shown() -> dict[str, str]:
        listed = again.api("relays")["relays"]
        return {x["target"]["stream"]: x["status"]["state"] for x in listed}

    wait_until(lambda: shown() == states, f"they were {states}")
    found = again.api(f"relays/{card.id}")
    assert (found["description"], found["source"]) == ("a picture", SMALL_CARD)
    assert again.api(f"relays/{off.id}")["enabled"] is False
    assert again.api(f"relays/{lazy.id}")["on_demand"] is True
    with Viewer(again, "liveshow/card", tmp_path) as viewer:
        viewer.wait_for(0.5)


def test_on_demand(rig: Rig, tmp_path: Path) -> None:
    """E-SR-10: many viewers who come together are one pull, which ends after they have left."""
    rig.web.forget()
    url = rig.web.url("/long.flv")
    with Task(rig.server, url, "liveshow/lazy", on_demand=True) as task:
        assert task.wait_for("idle")["restarts"] == 0
        with ExitStack() as leaving:
            viewers = [
                leaving.enter_context(Viewer(rig.server, task.key, tmp_path))
                for _number in range(VIEWERS)
            ]
            for viewer in viewers:
                viewer.wait_for(0.5)
            assert task.status["state"] == "running"
        task.wait_for("idle", 20)
        assert rig.web.counts() == {"/long.flv": 1}
        streams = rig.server.api("streams")["streams"]
        assert "lazy" not in {x["stream"] for x in streams}
        # And again.
        with Viewer(rig.server, task.key, tmp_path) as viewer:
            viewer.wait_for(0.5)
        task.wait_for("idle", 20)
        assert rig.web.counts() == {"/long.flv": 2}


def test_pattern(rig: Rig, tmp_path: Path) -> None:
    """A task that stands for many streams pulls those that somebody wants, each from its own."""
    rig.web.forget()
    with Task(rig.server, rig.web.url("/$1.flv"), "liveshow/cam-*", on_demand=True) as task:
        with (
            Viewer(rig.server, "liveshow/cam-long", tmp_path) as one,
            Viewer(rig.server, "liveshow/cam-clip", tmp_path) as other,
        ):
            one.wait_for(0.5)
            other.wait_for(0.5)
            instances = task.status["instances"]
            assert set(instances) == {"cam-long", "cam-clip"}
            assert instances["cam-long"]["state"] == "running"
        task.wait_until(lambda status: not status["instances"], "over", 20)
    assert set(rig.web.counts()) == {"/long.flv", "/clip.flv"}


def test_fallback(rig: Rig, tmp_path: Path, programs: Programs) -> None:
    """The next source has its turn while the first is away, and viewers see one stream."""
    first = programs.start(looping(rig.clip, rig.nginx.url("live/first")), name="publisher")
    sources = {"fallbacks": [rig.web.url("/long.flv")], "recover_seconds": 1.0}
    url = rig.nginx.url("live/first")
    with (
        Task(rig.server, url, "liveshow/both", stall_seconds=2.0, **sources) as task,
        Viewer(rig.server, task.key, tmp_path) as viewer,
    ):
        viewer.wait_for(0.5)
        assert task.status["source"] == 0
        first.stop(signal.SIGKILL)
        task.wait_until(lambda x: (x["state"], x["source"]) == ("running", 1), "at the second")
        viewer.wait_for_more(0.5)
        programs.start(looping(rig.clip, url), name="publisher")
        task.wait_until(lambda x: (x["state"], x["source"]) == ("running", 0), "back", 90)
        viewer.wait_for_more(1.0)
        viewer.assert_steady(60.0)
        recorded = viewer.stop()
    # Each switch began with a keyframe: nothing was shown that was not sent, and none of it went
    # back in time, though what was sent before a switch ended in the middle of a group.
    shown = pictures(recorded)
    assert {frame.digest for frame in shown} <= {frame.digest for frame in pictures(rig.clip)}
    assert all(one.pts < other.pts for one, other in pairwise(shown))
    assert len(viewer.keyframes()) >= 3


def size_of(server: Server, stream: str) -> tuple[int, int]:
    """Return the size of a stream's pictures."""
    tracks = server.api(f"streams/liveshow/{stream}")["tracks"]
    return next((x["width"], x["height"]) for x in tracks if x["width"])


def test_renditions(rig: Rig, tmp_path: Path) -> None:
    """Several sizes of one source have the same times of keyframes; it is one process."""
    before = set(children(rig.server.program.pid))
    low = {"codec": "h264", "height": 96, "preset": "ultrafast", "keyframe_seconds": 1.0}
    high = {**low, "height": 144}
    with (
        Task(
            *(rig.server, "test:?size=320x180&rate=25", "liveshow/high"),
            video=high,
            audio={"codec": "aac"},
            renditions=[{"stream": "low", "video": low, "audio": {"codec": "aac"}}],
        ),
        Viewer(rig.server, "liveshow/high", tmp_path) as one,
        Viewer(rig.server, "liveshow/low", tmp_path) as other,
    ):
        one.wait_for(3.5)
        other.wait_for(3.5)
        assert len(set(children(rig.server.program.pid)) - before) == 1
        assert size_of(rig.server, "high") == (256, 144)
        assert size_of(rig.server, "low")[1] == 96
    both = set(one.keyframes()) & set(other.keyframes())
    assert len(both) >= 3
    assert set(one.keyframes()) - both <= {min(one.keyframes()), max(one.keyframes())}
    one.assert_steady()
    other.assert_steady()


def test_stream_of_this_server(rig: Rig, tmp_path: Path, programs: Programs) -> None:
    """A stream that is published here is had in another size; it begins and ends with that."""
    small = {"video": {**H264["video"], "height": 120}, "audio": {"codec": "aac"}}
    with (
        Task(rig.server, "stream:liveshow/given", "liveshow/small", **small) as task,
        Viewer(rig.server, task.key, tmp_path) as viewer,
    ):
        publisher = programs.start(looping(rig.clip, rig.server.rtmp("liveshow/given")))
        viewer.wait_for(2.0)
        assert size_of(rig.server, "small") == (160, 120)
        assert len(pictures(viewer.stop())) >= 45
        assert packets(viewer.path, "a")
        publisher.stop()
        task.wait_until(lambda status: status["state"] != "running", "waiting again", 20)


def test_own_address(rig: Rig) -> None:
    """E-ST-08: a stream that is pulled from itself, by whatever name, is refused."""
    server = rig.server
    sources = {
        "rtmp": f"rtmp://127.0.0.1:{server.rtmp_port}/liveshow/loop-rtmp",
        "name": f"rtmp://localhost:{server.rtmp_port}/liveshow/loop-name",
        "alias": f"rtmp://127.0.0.1:{server.rtmp_port}/liveshow/loop-other",
        "rtsp": f"rtsp://localhost:{server.rtsp_port}/liveshow/loop-rtsp",
        "http": f"http://localhost:{server.http_port}/liveshow/loop-http.flv",
        "hls": f"http://127.0.0.1:{server.http_port}/liveshow/loop-hls.m3u8",
    }
    with ExitStack() as tasks:
        made = {
            name: tasks.enter_context(Task(server, url, f"liveshow/loop-{name}"))
            for name, url in sources.items()
        }
        for name, task in made.items():
            status = task.wait_for("waiting", 20)
            assert "loop" in status["reason"].lower(), (name, status)
            assert status["is_permanent"], (name, status)
        assert_calm([server])


@pytest.fixture(scope="module")
def pair(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """The server, and one more."""
    peer = Server(tmp_path_factory.mktemp("peer"), [*PATIENT, ALLOWED])
    yield rig.server, peer
    peer.close()


def assert_calm(servers: Sequence[Server]) -> None:
    """Nothing goes round."""
    before = [cpu_seconds(server.program.pid) for server in servers]
    time.sleep(1.0)
    used = [cpu_seconds(x.program.pid) - y for x, y in zip(servers, before, strict=True)]
    assert max(used) < 0.5, used


def test_ring_on_demand(pair: tuple[Server, Server], tmp_path: Path) -> None:
    """E-ST-08: two servers that pull one stream from each other while somebody watches."""
    one, other = pair
    with (
        Task(one, other.rtmp("liveshow/lazy"), "liveshow/lazy", on_demand=True) as task,
        Task(other, one.rtmp("liveshow/lazy"), "liveshow/lazy", on_demand=True) as back,
        Viewer(one, "liveshow/lazy", tmp_path),
    ):
        back.wait_until(lambda status: "loop" in status["reason"], "refused", 20)
        assert task.status["state"] != "running"
        assert_calm(pair)


def test_ring(pair: tuple[Server, Server], tmp_path: Path, programs: Programs, rig: Rig) -> None:
    """E-ST-08: two servers that pull one stream from each other, which had a publisher once."""
    one, other = pair
    with (
        Task(one, other.rtmp("liveshow/ring"), "liveshow/ring") as task,
        Task(other, one.rtmp("liveshow/ring"), "liveshow/ring"),
    ):
        publisher = programs.start(looping(rig.clip, one.rtmp("liveshow/ring")))
        with Viewer(other, "liveshow/ring", tmp_path) as viewer:
            viewer.wait_for(1.0)
            publisher.stop()
            # The first pulls from the second now, which has it from the first.
            task.wait_until(lambda status: "loop" in status["reason"], "refused", 30)
            assert_calm(pair)


@pytest.mark.parametrize("name", ["up.mp4", "list.mp4"])
def test_playlist_as_file(rig: Rig, name: str) -> None:
    """F-SS-01: a playlist that is called a film opens nothing."""
    with Task(rig.server, f"file:{name}", "liveshow/trick") as task:
        status = task.wait_for("waiting", 20)
        assert status["is_permanent"]
        assert status["bytes_in"] == 0
        assert "is there" not in " ".join(task.log)


@pytest.mark.parametrize(
    "source",
    [
        "concat:a|b",
        "exec:true",
        "subfile,,start,0,end,9,,:x",
        "gopher://127.0.0.1/x",
        "/etc/passwd",
        "pipe:0",
        "rtsp://$1/x",
    ],
)
def test_scheme(rig: Rig, source: str) -> None:
    """F-SS-02: what is no source of ours is none of FFmpeg's either."""
    with pytest.raises(Failed, match="status 400"):
        Task(rig.server, source, "liveshow/scheme")


def test_private_networks(rig: Rig, start_server: StartServer) -> None:
    """F-SS-03: an address of this machine or its networks, in any spelling, also by a redirect."""
    rig.web.on("/away.flv", redirect("http://169.254.169.254/latest.flv"))
    rig.web.on("/near.flv", redirect(f"http://[::1]:{rig.server.http_port}/x.flv"))
    closed = start_server()
    port = rig.web.url("/clip.flv").rpartition(":")[2]
    spelled = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "10.0.0.1"]
    sources = {f"http://{host}:{port}": closed for host in spelled}
    sources |= dict.fromkeys((rig.web.url("/away.flv"), rig.web.url("/near.flv")), rig.server)
    rig.web.forget()
    with ExitStack() as tasks:
        made: list[Task] = []
        for number, (source, server) in enumerate(sources.items()):
            try:
                task = Task(server, source, f"liveshow/private{number}")
            except Failed as error:
                assert "status 400" in str(error), source
                continue
            made.append(tasks.enter_context(task))
        for task in made:
            status = task.wait_for("waiting", 20)
            assert status["is_permanent"], status
        # A stopped server asks nobody: whom the first one asked is known.
        assert rig.web.counts("/clip.flv") == {}
    assert len(made) >= 5


def test_publisher_has_the_name(rig: Rig, programs: Programs, tmp_path: Path) -> None:
    """A stream that somebody publishes is not taken from them; and one task is enough."""
    programs.start(publish_command(rig.folder / "long.flv", rig.server.rtmp("liveshow/taken")))
    with Viewer(rig.server, "liveshow/taken", tmp_path) as viewer:
        viewer.wait_for(0.5)
        with Task(rig.server, SMALL_CARD, "liveshow/taken") as task:
            assert "publisher" in task.wait_for("waiting", 20)["reason"]
            with pytest.raises(Failed, match="status 409"):
                Task(rig.server, "test:", "liveshow/taken")
        viewer.wait_for_more(0.5)
        viewer.assert_steady()
