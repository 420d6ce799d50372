"""Child processes in tests: a sink that keeps what it gets, and media made by FFmpeg."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from ntvmedia.avtools.process import RunningJob
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import Packet, Track

_MAKE = """
import av, sys
from fractions import Fraction
path, container, frames, video, audio = sys.argv[1:]
with av.open(path, "w", format=container) as out:
    picture = out.add_stream(video, rate=25) if video else None
    sound = out.add_stream(audio, rate=48000) if audio else None
    if picture:
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        picture.gop_size = 10
    if sound:
        sound.layout = "mono"
    samples = 0
    for number in range(int(frames)):
        if picture:
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 7 % 256]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(picture.encode(frame))
        while sound and samples < (number + 1) * 1920:
            size = sound.codec_context.frame_size or 1152
            frame = av.AudioFrame("fltp", "mono", size)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48000, samples
            frame.time_base = Fraction(1, 48000)
            out.mux(sound.encode(frame))
            samples += size
    for stream in (picture, sound):
        if stream:
            out.mux(stream.encode(None))
"""


def free_udp_port() -> int:
    """Return a port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_media(
    path: Path, container: str, frames: int = 25, video: str = "libx264", audio: str = "aac"
) -> None:
    """Make a file of 64 by 48 pixels, 25 frames a second, with a keyframe every 10.

    In a process of its own: PyAV and its threads are for child processes only.
    """
    command = [sys.executable, "-c", _MAKE, str(path), container, str(frames), video, audio]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


@implementer(IPullSink)
class Kept:
    """A sink that keeps what it gets.

    Attributes:
        on_packet: Called after each packet.
    """

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.metadata: list[Mapping[str, object]] = []
        self.notes: list[str] = []
        self.batches = 0
        self.on_packet: Callable[[], object] = lambda: None

    def track_received(self, track: Track) -> None:
        self.tracks.append(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        self.metadata.append(fields)

    def packet_received(self, packet: Packet) -> None:
        self.packets.append(packet)
        self.on_packet()

    def batch_ended(self) -> None:
        self.batches += 1

    def noted(self, line: str) -> None:
        self.notes.append(line)


class ProcessCase(TestCase):
    """A test with real child processes, and the reactor that runs under trial."""

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        folder = tempfile.TemporaryDirectory(prefix="ntvmedia-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def watch(self, job: RunningJob) -> RunningJob:
        """Have a job ended with the test, whatever becomes of it."""
        self.addCleanup(job.stop)
        return job

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait for something to become true."""
        end = self.reactor.seconds() + seconds
        while not condition():
            self.assertLess(self.reactor.seconds(), end, "it never came true")
            await self.pause(0.02)

    def pause(self, seconds: float) -> Deferred[None]:
        """Return what fires after a while."""
        later: Deferred[None] = Deferred()
        self.reactor.callLater(seconds, later.callback, None)
        return later

    async def error_of(self, job: RunningJob) -> RemoteError:
        """Return what a job fails with."""
        try:
            await job.done
        except RemoteError as error:
            return error
        self.fail("the job went well")


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number that is not only waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
