"""Streams that a real server sends to others: nginx-rtmp, Node-Media-Server, and its own kind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.media import make_clip, packets, pictures
from tests.e2e.processes import Failed, run, wait_until
from tests.e2e.relay_ends import NginxRTMP, NodeMediaServer
from tests.e2e.relays import (
    SMALL_CARD,
    Programs,
    Push,
    Task,
    Viewer,
    assert_around,
    looping,
)
from tests.e2e.server import ROOT, Server

SETTINGS = ("outbound.allow=127.0.0.0/8", "hub.publisher_grace=60", "hub.play_wait=60")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv", 3.0)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("example")
    copied = folder / "ntv-morse"
    source = ROOT / "examples" / "ntv-morse"
    for path in source.rglob("*"):
        if path.suffix in (".py", ".toml", ".md") and "build" not in path.parts:
            place = copied / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--root-user-action=ignore"]
    run([*pip, *offline, "--target", folder / "site", copied], folder)
    return folder / "site"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Iterator[Server]:
    """One server for all tests here, which finds the example."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.e2e.server.ROOT", f"{example}:{ROOT}")
        server = Server(folder, SETTINGS)
    yield server
    server.close()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Programs that end with the test."""
    with Programs(tmp_path) as programs:
        yield programs


def played(url: str, folder: Path, pictures: int = 60) -> Path:
    """Record what a server plays, for so many pictures."""
    path = folder / "played.flv"
    words = ["ffmpeg", "-v", "error", "-y", "-i", url, "-frames:v", str(pictures), "-c", "copy"]
    run([*words, path], folder)
    return path


def restless(url: str, folder: Path) -> Path:
    """Record what a server plays, once it does."""
    found: list[Path] = []

    def tried() -> bool:
        try:
            found.append(played(url, folder))
        except Failed:
            return False
        return True

    wait_until(tried, "it played")
    return found[0]


@pytest.mark.parametrize("kind", [NginxRTMP, NodeMediaServer])
def test_push(
    server: Server,
    clip: Path,
    tmp_path: Path,
    programs: Programs,
    kind: type[NginxRTMP] | type[NodeMediaServer],
) -> None:
    """P-701: what is published here is there, and there again when that server is back."""
    stream = kind.__name__.lower()
    with kind(tmp_path / "other") as other:
        programs.start(looping(clip, server.rtmp(f"liveshow/{stream}")), name="publisher")
        to = other.url("").rstrip("/")
        with Push(server, to, f"{stream}*", target_application="live") as push:
            push.wait_for("running")
            recorded = restless(other.url(f"live/{stream}"), tmp_path)
            assert_around(pictures(recorded)[:-3], pictures(clip), 40)
            assert_around(packets(recorded, "a"), packets(clip, "a"), 60)
            (sending,) = push.shown()["sending"]
            assert (sending["stream"], sending["state"]) == (stream, "running")
            assert sending["bytes_out"] > 50_000
            assert sending["dropped"] == 0
            # While it is live: not wanted any more, and wanted again.
            push.change(streams=["nothing"])
            push.wait_for("idle", 20)
            push.change(streams=[stream])
            push.wait_for("running")
        assert server.api(f"streams/liveshow/{stream}")["state"] == "live"


def test_target_restarts(server: Server, clip: Path, tmp_path: Path, programs: Programs) -> None:
    """E-ST-10: a server that is back gets headers first, and then from a keyframe on."""
    with NginxRTMP(tmp_path / "first") as first:
        programs.start(looping(clip, server.rtmp("liveshow/back")), name="publisher")
        port = first.port
        with Push(server, f"rtmp://127.0.0.1:{port}", "back", target_application="live") as push:
            push.wait_for("running")
            first.stop(signal.SIGKILL)
            push.wait_until(lambda status: status["state"] != "running", "lost")
            with NginxRTMP(tmp_path / "second", port) as second:
                push.wait_for("running")
                recorded = restless(second.url("live/back"), tmp_path)
                assert pictures(recorded)
                status = push.status
                assert status["restarts"] >= 1
                assert not status["is_permanent"]


def test_slow_target(server: Server, tmp_path: Path, programs: Programs) -> None:
    """E-ST-11: a server that takes nothing holds neither publisher nor viewers, nor much memory."""
    large = make_clip(
        tmp_path / "large.flv", 3.0, ["-b:v", "6M", "-maxrate", "6M", "-s", "640x480"]
    )
    with NginxRTMP(tmp_path / "slow") as slow:
        programs.start(looping(large, server.rtmp("liveshow/slow")), name="publisher")
        with (
            Viewer(server, "liveshow/slow", tmp_path) as viewer,
            Push(
                *(server, f"rtmp://127.0.0.1:{slow.port}", "slow"),
                target_application="live",
                stall_seconds=4.0,
            ) as push,
        ):
            push.wait_for("running")
            viewer.wait_for(0.5)
            before = server.rss_bytes
            slow.send(signal.SIGSTOP)
            push.wait_until(lambda status: status["state"] != "running", "given up")
            viewer.wait_for_more(2.0)
            viewer.assert_steady()
            assert server.rss_bytes - before < 48 << 20
            slow.send(signal.SIGCONT)
            push.wait_for("running")
            wait_until(lambda: push.shown()["sending"][0]["bytes_out"] > 500_000, "it went on")
            viewer.wait_for_more(1.0)
            viewer.assert_steady()


def test_no_such_target(server: Server, clip: Path, tmp_path: Path, programs: Programs) -> None:
    """E-ST-14: a refusal is told, and nobody here notices it."""
    with NginxRTMP(tmp_path / "strict") as strict:
        programs.start(looping(clip, server.rtmp("liveshow/unwanted")), name="publisher")
        to = f"rtmp://127.0.0.1:{strict.port}"
        with Push(server, to, "unwanted", target_application="closed") as push:
            status = push.wait_for("waiting")
            assert status["reason"]
            assert status["next_retry_at"] > 0
        assert server.api("streams/liveshow/unwanted")["state"] == "live"


def test_ring_of_pushes(server: Server, clip: Path, tmp_path: Path, programs: Programs) -> None:
    """E-ST-08: what was sent to another server is not sent back by that."""
    folder = tmp_path / "peer"
    folder.mkdir()
    peer = Server(folder, SETTINGS)
    try:
        back = Push(peer, server.rtmp("").rstrip("/"), "round")
        with Push(server, peer.rtmp("").rstrip("/"), "round") as push:
            publisher = programs.start(looping(clip, server.rtmp("liveshow/round")))
            push.wait_for("running")
            status = back.wait_for("waiting")
            assert "loop" in status["reason"]
            assert status["is_permanent"]
            # And when nobody publishes here any more, it ends there.
            publisher.stop()
            assert back.status["state"] != "running"
    finally:
        peer.close()


def test_relay_to_another(server: Server, tmp_path: Path) -> None:
    """P-601: what is pulled is sent to another server, and nothing is published here."""
    with (
        NginxRTMP(tmp_path / "other") as other,
        Task(server, SMALL_CARD, other.url("live/card")) as task,
    ):
        task.wait_for("running")
        assert len(pictures(restless(other.url("live/card"), tmp_path))) >= 40
        assert task.shown()["target"]["stream"] == "<hidden>"
        assert "card" not in {x["stream"] for x in server.api("streams")["streams"]}


def test_example(server: Server, tmp_path: Path) -> None:
    """P-604: a source of a package that pip installed works as ours do."""
    with pytest.raises(Failed, match="status 400"):
        Task(server, "morse:%C3%9C", "liveshow/bad")
    found = server.api("relays/probe", "POST", {"source": "morse:E"})
    assert [track["codec"] for track in found["tracks"]] == ["pcm_alaw"]
    encoded = {"audio": {"codec": "aac"}}
    path = tmp_path / "morse.flv"
    with (
        Task(server, "morse:HELLO%20WORLD?wpm=40", "liveshow/morse") as task,
        Task(server, "stream:liveshow/morse", "liveshow/morse_aac", **encoded) as copy,
    ):
        assert task.wait_for("running")["restarts"] == 0
        copy.wait_for("running")
        assert "11 characters at 40 words a minute" in task.log
        # Packets of 20 ms, and of 1024 samples.
        for stream, codec, least in (("morse", "pcm_alaw", 40), ("morse_aac", "aac", 6)):
            words = ["ffmpeg", "-v", "error", "-y", "-analyzeduration", "500k"]
            url = server.flv(f"liveshow/{stream}")
            run([*words, "-i", url, "-t", "1", "-c", "copy", path], tmp_path)
            entries = ["-show_entries", "stream=codec_name", "-of", "csv=p=0"]
            probe = run(["ffprobe", "-v", "error", *entries, path], tmp_path)
            assert probe.output.decode().split() == [codec]
            assert len(packets(path, "a")) > least
