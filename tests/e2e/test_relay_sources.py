"""Each kind of source as a relay task of a real server, all of them at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from ntvmedia.formats.flv import TagType
from tests.clients.ffmpeg.test_mmst import Peer
from tests.clients.ffmpeg.test_pulling import Hostile, stall
from tests.e2e.hostile_server import HostileServer
from tests.e2e.media import make_clip, packets, pictures
from tests.e2e.processes import Failed, is_listening, run, wait_until
from tests.e2e.relay_ends import NginxRTMP
from tests.e2e.relays import (
    H264,
    SMALL_CARD,
    Programs,
    Task,
    Viewer,
    assert_rounds,
    looping,
)
from tests.e2e.server import Server, free_port
from tests.e2e.test_rtsp_client import GStreamer

CLIP_SECONDS = 3.0

# Of two rounds and some more, wherever in the clip a viewer comes in.
SEEN_SECONDS = 2.5 * CLIP_SECONDS

# Pictures of two rounds.
ROUNDS = 150

GROUP, OTHER_GROUP = "239.255.12.1", "239.255.12.2"

COPIED = ("mp4", "mkv", "ts", "flv")
"""Containers whose codecs go on as they are."""

ENCODED = ("avi", "wmv")
"""Those whose codecs are of former times."""

_LIVE_RTSP = (
    "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse "
    "! rtph264pay name=pay0 pt=96 config-interval=-1 "
    "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc "
    "! rtppcmapay name=pay1 pt=8"
)


class Watched(NamedTuple):
    """A task, who watches what it makes, and for how many seconds."""

    task: Task
    viewer: Viewer
    seconds: float


class Stage:
    """A server with tasks and viewers, and those whom they pull from.

    Attributes:
        folder: For files and outputs.
        server: Ours.
        clip: What most of them play.
        other: What those of other groups play.
        programs: The others.
        watched: By stream.
        silent: The task whose server says nothing.
        listed: What the API said of each task when all had been seen, by stream.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder = folder
        self.programs = programs
        self.clip = make_clip(folder / "clip.flv", CLIP_SECONDS)
        self.other = make_clip(folder / "other.flv", CLIP_SECONDS, ["-s", "160x120"])
        films = folder / "films"
        films.mkdir()
        for form in COPIED:
            self._convert(films / f"clip.{form}", "-c copy")
        self._convert(films / "clip.avi", "-c:v mpeg4 -c:a libmp3lame")
        # Both tracks end where a loop begins: that of Windows Media is sent as it is by VLC.
        self._convert(films / "clip.wmv", "-c:v wmv2 -b:v 300k -c:a wmav2")
        self.server = Server(
            folder, ["hub.play_wait=60", "outbound.allow=127.0.0.0/8", f"relay.folders={films}"]
        )
        self.watched: dict[str, Watched] = {}
        self.listed: dict[str, Any] = {}
        self.silent: Task

    def _convert(self, path: Path, options: str) -> None:
        words: list[str | Path] = ["ffmpeg", "-v", "error", "-i", self.clip]
        run([*words, *options.split(), path], self.folder)

    def watch(self, stream: str, source: str, seconds: float, **fields: Any) -> None:
        """Make a task, and watch it."""
        task = Task(self.server, source, f"liveshow/{stream}", **fields)
        viewer = Viewer(self.server, task.key, self.folder)
        self.programs.keep(viewer)
        self.watched[stream] = Watched(task, viewer, seconds)

    def see(self) -> None:
        """Wait until all was seen for so long as is wanted; then stop them."""
        tasks = [x.task for x in self.watched.values()]
        left = dict(self.watched)

        def seen() -> bool:
            for stream, (_task, viewer, seconds) in list(left.items()):
                if viewer.span() >= seconds:
                    viewer.stop()
                    del left[stream]
            return not left

        try:
            wait_until(seen, "all was seen", 90)
        except Failed as error:
            logs = {stream: x.task.log for stream, x in left.items()}
            raise Failed(f"{error}: {logs}") from None
        answer = self.server.api("relays?page_size=500")
        self.listed = {x["target"]["stream"]: x for x in answer["relays"]}
        for task in tasks:
            task.act("stop")

    def recorded(self, stream: str) -> Path:
        """Return what was seen of a stream."""
        return self.watched[stream].viewer.path


def _vlc(stage: Stage, home: Path, port: int) -> None:
    """Have VLC serve Windows Media over and over; it does not run as root."""
    (home / "clip.wmv").write_bytes((stage.folder / "films" / "clip.wmv").read_bytes())
    as_nobody: tuple[str, ...] = ()
    if os.getuid() == 0:
        os.chown(home, 65534, 65534)
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    out = f"#std{{access=mmsh,mux=asfh,dst=127.0.0.1:{port}}}"
    words = ["cvlc", "-I", "dummy", "--no-dbus", "--loop", "--sout", out, "--sout-keep", "clip.wmv"]
    stage.programs.start([*as_nobody, *words], name="vlc", env={"HOME": str(home)}, cwd=home)
    wait_until(lambda: is_listening(port), "VLC listens")


def _multicast(clip: Path, group: str, port: int) -> list[str | Path]:
    return looping(clip, f"udp://{group}:{port}?localaddr=127.0.0.1&ttl=0&pkt_size=1316", "mpegts")


def _gstreamer_udp(port: int) -> list[str | Path]:
    return [
        *("gst-launch-1.0", "-q", "videotestsrc", "is-live=true", "!"),
        *("video/x-raw,width=160,height=120,framerate=25/1", "!"),
        *("x264enc", "tune=zerolatency", "speed-preset=ultrafast", "key-int-max=25", "!"),
        *("mpegtsmux", "alignment=7", "!"),
        *("udpsink", "host=127.0.0.1", f"port={port}"),
    ]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All sources, tasks and viewers of this module, started together."""
    folder = tmp_path_factory.mktemp("stage")
    # Folders of pytest are for their owner alone; VLC, as nobody, has one of its own.
    with TemporaryDirectory() as home, Programs(folder) as programs, ExitStack() as ends:
        films = folder / "films"
        stage = Stage(folder, programs)
        ends.callback(stage.server.close)
        asf = Hostile(Peer((films / "clip.wmv").read_bytes()).serve)
        ends.callback(asf.close)
        silent = Hostile(stall)
        ends.callback(silent.close)
        ports = {name: free_port() for name in ("ffmpeg", "gstreamer", "group", "mms")}
        start = programs.start
        with (
            HostileServer(films) as web,
            NginxRTMP(folder / "nginx") as nginx,
            GStreamer(folder, "--play", "/live", _LIVE_RTSP) as rtsp,
        ):
            _vlc(stage, Path(home), ports["mms"])
            start(looping(stage.clip, nginx.url("live/clip")), name="to-nginx")
            udp = f"udp://127.0.0.1:{ports['ffmpeg']}?pkt_size=1316"
            start(looping(stage.clip, udp, "mpegts"), name="udp")
            start(_gstreamer_udp(ports["gstreamer"]), name="gstreamer-udp")
            for clip, group in ((stage.clip, GROUP), (stage.other, OTHER_GROUP)):
                start(_multicast(clip, group, ports["group"]), name="multicast")
            mms = {**H264, "stall_seconds": 5.0}
            stage.silent = Task(stage.server, f"mms://127.0.0.1:{silent.port}/x", "liveshow/no")
            for form in COPIED:
                stage.watch(form, f"file:clip.{form}", SEEN_SECONDS)
            for form in ENCODED:
                stage.watch(form, f"file:clip.{form}", SEEN_SECONDS, **H264)
            stage.watch("mms", f"mms://127.0.0.1:{ports['mms']}/", SEEN_SECONDS, **mms)
            stage.watch("mmst", f"mmst://127.0.0.1:{asf.port}/films/a.asf", 2.0, **mms)
            stage.watch("card", SMALL_CARD, 2.0)
            stage.watch("udp", f"udp://127.0.0.1:{ports['ffmpeg']}", 4.0)
            stage.watch("gstreamer", f"udp://@:{ports['gstreamer']}", 2.0)
            for name, group in (("group", GROUP), ("other", OTHER_GROUP)):
                url = f"udp://{group}:{ports['group']}?interface=127.0.0.1"
                stage.watch(name, url, 4.0)
            stage.watch("rtmp", nginx.url("live/clip"), 4.0)
            stage.watch("rtsp", rtsp.url("/live").replace("localhost", "127.0.0.1"), 2.0)
            stage.watch("http", web.url("/clip.ts"), 2.5)
            stage.see()
            yield stage


def test_card(stage: Stage) -> None:
    """A picture with no encoder at hand, and a tone."""
    recorded = stage.recorded("card")
    stage.watched["card"].viewer.assert_steady()
    shown = pictures(recorded)
    assert len({frame.digest for frame in shown}) == len(shown) >= 45
    assert packets(recorded, "a")


@pytest.mark.parametrize("form", COPIED)
def test_file(stage: Stage, form: str) -> None:
    """E-SR-06: each frame of a file, over two loops, with times that go on."""
    assert_rounds(stage.recorded(form), stage.clip, ROUNDS)
    stage.watched[form].viewer.assert_steady()
    assert stage.listed[form]["status"]["restarts"] == 0


@pytest.mark.parametrize("form", ENCODED)
def test_file_encoded(stage: Stage, form: str) -> None:
    """What no player knows any more is encoded anew, over two loops, with times that go on."""
    viewer = stage.watched[form].viewer
    viewer.assert_steady()
    assert len(pictures(stage.recorded(form))) >= ROUNDS
    assert viewer.times(TagType.AUDIO)
    assert stage.listed[form]["status"]["restarts"] == 0


def test_udp_of_ffmpeg(stage: Stage) -> None:
    """A transport stream that comes from another program, with each of its frames."""
    assert_rounds(stage.recorded("udp"), stage.clip, 100)
    assert stage.listed["udp"]["status"]["restarts"] == 0


def test_udp_of_gstreamer(stage: Stage) -> None:
    """Likewise, by GStreamer."""
    stage.watched["gstreamer"].viewer.assert_steady()
    assert len(pictures(stage.recorded("gstreamer"))) >= 45


def test_groups(stage: Stage) -> None:
    """E-SR-03: of two groups on one port, each task gets its own and nothing else."""
    assert_rounds(stage.recorded("group"), stage.clip, 100)
    assert_rounds(stage.recorded("other"), stage.other, 100)


def test_mms(stage: Stage) -> None:
    """What VLC serves as Windows Media, over its loops, in one go."""
    stage.watched["mms"].viewer.assert_steady(0.5)
    assert len(pictures(stage.recorded("mms"))) >= ROUNDS
    status = stage.listed["mms"]["status"]
    assert (status["state"], status["restarts"]) == ("running", 0)


def test_mmst(stage: Stage) -> None:
    """The old protocol, whose servers are gone: spoken by a peer that has learnt it from a book."""
    assert len(pictures(stage.recorded("mmst"))) >= 50
    assert stage.listed["mmst"]["status"]["bytes_in"] > 0


def test_silent(stage: Stage) -> None:
    """E-SR-01, E-SR-02: who takes a connection and says nothing is left, by either protocol."""
    status = stage.silent.wait_for("waiting")
    assert "mmsh: " in status["reason"]
    assert "mmst: " in status["reason"]
    assert not status["is_permanent"]


def test_rtmp(stage: Stage) -> None:
    """RTMP of nginx, with each frame that is sent there."""
    assert_rounds(stage.recorded("rtmp"), stage.clip, 100)


def test_http(stage: Stage) -> None:
    """A file of a web server, at the pace of life."""
    shown = [frame.digest for frame in pictures(stage.recorded("http"))]
    assert set(shown) <= {frame.digest for frame in pictures(stage.clip)}
    assert len(shown) >= 60


def test_rtsp(stage: Stage) -> None:
    """RTSP of GStreamer's server, live."""
    recorded = stage.recorded("rtsp")
    assert len(pictures(recorded)) >= 45
    assert packets(recorded, "a")


def test_list(stage: Stage) -> None:
    """The API lists all of them, and how they were doing while they were seen."""
    assert set(stage.listed) == {*stage.watched, "no"}
    assert stage.listed["mp4"]["source"] == "file:clip.mp4"
    assert {stage.listed[form]["status"]["state"] for form in COPIED} == {"running"}
    assert all(stage.listed[form]["status"]["bitrate_kbps"] > 300 for form in COPIED)


@pytest.mark.parametrize(
    ("source", "codecs"),
    [("file:clip.wmv", {"wmv2", "wmav2"}), ("file:clip.ts", {"h264", "aac"}), ("test:", {"h264"})],
)
def test_probe(stage: Stage, source: str, codecs: set[str]) -> None:
    """What is in a source is told before there is a task."""
    found = stage.server.api("relays/probe", "POST", {"source": source})
    assert codecs <= {track["codec"] for track in found["tracks"]}
