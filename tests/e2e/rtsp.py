"""Real players and publishers of RTSP within TCP, and what they got or sent.

What FFmpeg records of a stream with B-frames has no times: of RTP it knows when a picture is shown,
not when it is decoded, and it forgets both of the first one. So pictures go to a file without
times. mpv begins with the second keyframe for the same reason. FFmpeg as a publisher keeps the last
sounds to itself.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.clients import FFMPEG9, Command, wait_for_waiting
from tests.e2e.media import Frame, packets, pictures
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import ROOT, Server

# Seconds for a player to notice that the stream has ended.
PATIENCE = 6.0

# What holds pictures without times.
_RAW = {"h264": ".h264", "hevc": ".hevc"}

_DEPAYLOADERS = {
    "h264": "rtph264depay ! h264parse",
    "hevc": "rtph265depay ! h265parse",
    "vp9": "rtpvp9depay",
    "aac": "rtpmp4gdepay ! aacparse",
    "pcm_alaw": "rtppcmadepay",
    "opus": "rtpopusdepay ! opusparse",
}


@dataclass(frozen=True)
class Recording:
    """A player at work, or done.

    Attributes:
        program: It.
        video: The file of the pictures, or of both.
        audio: That of the sound, or the same.
        may_wait: It does not always notice that the server has closed the connection.
    """

    program: Program
    video: Path
    audio: Path
    may_wait: bool = False

    def finish(self, seconds: float = 60.0) -> Recording:
        """Wait for the player's good end; one that may wait for ever is told of it in time."""
        if self.may_wait:
            try:
                wait_until(lambda: not self.program.is_running, "it ended", PATIENCE)
            except Failed:
                self.program.send(signal.SIGINT)
        self.program.finish(seconds)
        return self

    def pictures(self) -> list[Frame]:
        """Return what is seen; every error of the decoder is one of the test."""
        if self.video.suffix == ".txt":
            return listed(self.video, "v")
        return pictures(self.video)

    def sounds(self) -> list[Frame]:
        """Return the packets of the sound."""
        if self.audio.suffix == ".txt":
            return listed(self.audio, "a")
        return packets(self.audio, "a")


def listed(path: Path, kind: str) -> list[Frame]:
    """Read what `tests.e2e.rtsp_pyav` has written of one kind."""
    rows = [line.split() for line in path.read_text("ascii").splitlines()]
    return [Frame(0, 0, 0, int(row[1]), row[2]) for row in rows if row[0] == kind]


@dataclass(frozen=True)
class Player:
    """A program that plays an address of RTSP and keeps what it got.

    Attributes:
        name: For tests and files.
        command: Its command line, of address, file without suffix, and codecs.
        video: The suffix of the file with pictures; of `_RAW` where it is empty.
        audio: That of the file with the sound.
    """

    name: str
    command: Callable[[str, Path, Sequence[str]], Command]
    video: str
    audio: str

    def start(
        self, address: str, folder: Path, codecs: Sequence[str] = ("h264", "aac")
    ) -> Recording:
        """Let it play, and record into files in the folder.

        Args:
            address: Of RTSP.
            folder: Where to.
            codecs: By FFmpeg's names, the video first; one where there is no other.
        """
        stem = folder / self.name
        program = Program(
            self.command(address, stem, codecs),
            folder,
            self.name,
            env={"HOME": str(folder), "PYTHONPATH": str(ROOT)},
        )
        video = self.video or _RAW.get(codecs[0], ".mkv")
        files = stem.with_suffix(video), stem.with_suffix(self.audio)
        return Recording(program, *files, may_wait=self is GSTREAMER)


def _ffmpeg(program: str) -> Callable[[str, Path, Sequence[str]], Command]:
    def command(address: str, stem: Path, codecs: Sequence[str]) -> Command:
        suffix = _RAW.get(codecs[0], ".mkv")
        outputs: list[str | Path] = []
        if codecs[0] not in _DEPAYLOADERS or codecs[0] in ("h264", "hevc", "vp9"):
            # Of VP9 and AV1 it does not see which pictures are keyframes.
            outputs += ["-map", "0:v", "-c", "copy", "-copyinkf", stem.with_suffix(suffix)]
        if codecs[-1] not in ("h264", "hevc", "vp9", "av1"):
            outputs += ["-map", "0:a", "-c", "copy", stem.with_suffix(".mka")]
        return [program, "-v", "error", "-y", "-rtsp_transport", "tcp", "-i", address, *outputs]

    return command


def _mpv(address: str, stem: Path, codecs: Sequence[str]) -> Command:
    return [
        *("mpv", "--no-config", "--really-quiet", "--vo=null", "--ao=null"),
        *("--rtsp-transport=tcp", f"--stream-record={stem.with_suffix('.mkv')}", address),
    ]


def _gstreamer(address: str, stem: Path, codecs: Sequence[str]) -> Command:
    # Depayloaders know what is theirs. With a filter before them, gst-launch now and then
    # (one in ten on a busy machine) links neither of two streams that it is given at the same time.
    ways = [f"s. ! {_DEPAYLOADERS[codec]} ! queue ! mux." for codec in codecs]
    return [
        *("gst-launch-1.0", "-q", "-e", "rtspsrc", f"location={address}", "name=s", "latency=0"),
        # Times as they are sent, and not as they come.
        *(
            "buffer-mode=none",
            "protocols=tcp+tls",
            "tls-validation-flags=0",
            "matroskamux",
            "name=mux",
            "!",
        ),
        *("filesink", f"location={stem.with_suffix('.mkv')}", *" ".join(ways).split()),
    ]


def _pyav(address: str, stem: Path, codecs: Sequence[str]) -> Command:
    return [sys.executable, "-m", "tests.e2e.rtsp_pyav", address, stem.with_suffix(".txt")]


FFMPEG = Player("ffmpeg", _ffmpeg("ffmpeg"), "", ".mka")
FFMPEG_9 = Player("ffmpeg9", _ffmpeg(FFMPEG9), "", ".mka")
MPV = Player("mpv", _mpv, ".mkv", ".mkv")
GSTREAMER = Player("gstreamer", _gstreamer, ".mkv", ".mkv")
PYAV = Player("pyav", _pyav, ".txt", ".txt")

ALL = (FFMPEG, FFMPEG_9, MPV, GSTREAMER, PYAV)
"""All that play RTSP; Debian's VLC does not."""


def publish_command(source: Path, address: str, *options: str, program: str = "ffmpeg") -> Command:
    """Return the command of an FFmpeg that publishes a file as it is, within TCP.

    Args:
        source: The file.
        address: Where to.
        options: More options for the output.
        program: Which FFmpeg.
    """
    return [
        *(program, "-v", "error", "-re", "-i", str(source), "-map", "0", "-c", "copy", *options),
        *("-f", "rtsp", "-rtsp_transport", "tcp", address),
    ]


def publish_gstreamer(clip: Path, address: str, folder: Path) -> None:
    """Publish a clip of H.264 and AAC by rtspclientsink, as fast as it is to be played.

    It does not always say goodbye, and sometimes it does not end (GStreamer 1.22): its answer to
    PAUSE comes when it closes already. So the server's grace for publishers should be short.
    """
    words = f"""
        gst-launch-1.0 -q filesrc location={clip} ! flvdemux name=demux
        demux.video ! queue ! h264parse ! identity sync=true ! sink.
        demux.audio ! queue ! aacparse ! identity sync=true ! sink.
        rtspclientsink name=sink protocols=tcp location={address}
    """.split()
    # What it published is there all the same when it has to be stopped.
    with Program(words, folder, "rtspclientsink") as program, contextlib.suppress(Failed):
        wait_until(lambda: not program.is_running, "rtspclientsink ended", 12)


def start_all(
    server: Server,
    players: Sequence[Player],
    address: str,
    folder: Path,
    codecs: Sequence[str] = ("h264", "aac"),
) -> dict[str, Recording]:
    """Let players wait for a stream that nobody publishes yet, all at one address.

    Returns:
        By name. Whoever calls this stops the programs.
    """
    found: dict[str, Recording] = {}
    try:
        for number, player in enumerate(players, 1):
            found[player.name] = player.start(address, folder, codecs)
            # One after the other, so that a slow machine starts them all in time.
            wait_for_waiting(server, number)
    except BaseException:
        for recording in found.values():
            recording.program.stop()
        raise
    return found
