"""Real players that record what they get, and the programs that publish to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]

from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server

FFMPEG9: str = imageio_ffmpeg.get_ffmpeg_exe()
"""The FFmpeg of imageio-ffmpeg, 9 or newer, which speaks Enhanced RTMP; Debian's 5.1 does not."""

# A player that waits has to outlast the start of the others on a slow machine.
PLAY_WAIT = "hub.play_wait=60"

Command = list[str | Path]

# VLC does not run as root: it runs as nobody then.
_AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@dataclass(frozen=True)
class Player:
    """A program that plays an address and keeps what it got.

    Attributes:
        name: For tests and files.
        protocol: "rtmp", or the extension of its address: "flv", "ts", "m3u8".
        suffix: Of the file that it makes.
        command: Its command line, of address and file.
    """

    name: str
    protocol: str
    suffix: str
    command: Callable[[str, Path], Command]

    def address(self, server: Server, stream: str) -> str:
        """Return where it plays "APP/STREAM", query included."""
        if self.protocol == "rtmp":
            return server.rtmp(stream)
        name, mark, query = stream.partition("?")
        return server.http(f"/{name}.{self.protocol}") + mark + query

    def start(self, server: Server, stream: str, folder: Path) -> Recording:
        """Let it play "APP/STREAM" and record into a file in the folder."""
        path = folder / f"{self.name}{self.suffix}"
        command = self.command(self.address(server, stream), path)
        return Recording(Program(command, folder, self.name, env={"HOME": str(folder)}), path)


@dataclass(frozen=True)
class Recording:
    """A player at work, or done.

    Attributes:
        program: It.
        path: What it records.
    """

    program: Program
    path: Path

    def finish(self, seconds: float = 60.0) -> Path:
        """Wait for the player's good end, and return what it recorded."""
        self.program.finish(seconds)
        return self.path


def ffmpeg_player(program: str, address: str, path: Path) -> Command:
    """Return the command of an FFmpeg that copies a stream into a file."""
    return [
        *(program, "-v", "error", "-y", "-analyzeduration", "2M", "-i", address),
        *("-map", "0:v?", "-map", "0:a?", "-c", "copy", path),
    ]


def _ffmpeg_hls(program: str) -> Callable[[str, Path], Command]:
    """Return the command of an FFmpeg that chooses by itself among what a playlist lists."""
    return lambda url, path: [
        *(program, "-v", "error", "-y", "-analyzeduration", "2M", "-i", url, "-c", "copy", path)
    ]


def _mpv(address: str, path: Path) -> Command:
    return [
        *("mpv", "--no-config", "--really-quiet", "--vo=null", "--ao=null"),
        *(f"--stream-record={path}", address),
    ]


def _vlc(address: str, path: Path) -> Command:
    return [
        *(_AS_NOBODY if os.getuid() == 0 else ()),
        *("cvlc", "-I", "dummy", "--no-dbus", address),
        *("--sout", f"#std{{access=file,mux=mkv,dst={path}}}", "vlc://quit"),
    ]


def _gstreamer_ts(video: str) -> Callable[[str, Path], Command]:
    """Return the command of GStreamer's own demuxer and parsers for one kind of video, or none."""
    ways = [f"demux. ! queue ! {x} ! mux." for x in ("aacparse", video) if x]
    return lambda url, path: [
        *("gst-launch-1.0", "-q", "souphttpsrc", f"location={url}", "is-live=true"),
        *("!", "tsdemux", "name=demux", "matroskamux", "name=mux", "!"),
        *("filesink", f"location={path}", *" ".join(ways).split()),
    ]


def _gstreamer_hls(address: str, path: Path) -> Command:
    """Return the command of GStreamer's hlsdemux2, which wants whoever is aware of streams."""
    # What has no bounds does not stop one track while the muxer waits for the other.
    queue = "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0"
    video = f"source. ! video/x-h264 ! {queue} ! h264parse ! mux."
    audio = f"source. ! audio/mpeg ! {queue} ! aacparse ! mux."
    return [
        *("gst-launch-1.0", "-q", "urisourcebin", f"uri={address}", "parse-streams=true"),
        *("name=source", "matroskamux", "name=mux", "!", "filesink", f"location={path}"),
        *f"{video} {audio}".split(),
    ]


CURL = Player("curl", "flv", ".flv", lambda url, path: ["curl", "-sS", "-f", "-o", path, url])
CURL_1_0 = Player(
    "curl-http-1.0",
    "flv",
    ".flv",
    lambda url, path: ["curl", "-sS", "-f", "--http1.0", "-o", path, url],
)
RTMPDUMP = Player(
    "rtmpdump",
    "rtmp",
    ".flv",
    lambda url, path: ["rtmpdump", "-q", "--live", "-r", url, "-o", path],
)
RTMP2SRC = Player(
    "rtmp2src",
    "rtmp",
    ".flv",
    lambda url, path: [
        *("gst-launch-1.0", "-q", "rtmp2src", f"location={url}"),
        *("!", "filesink", f"location={path}"),
    ],
)
# Without a buffer, since it has to be stopped: at the end of a stream it connects anew.
RTMPSRC = Player(
    "rtmpsrc",
    "rtmp",
    ".flv",
    lambda url, path: [
        *("gst-launch-1.0", "-q", "rtmpsrc", f"location={url} live=1"),
        *("!", "filesink", "buffer-mode=unbuffered", f"location={path}"),
    ],
)
FFMPEG_RTMP = Player(
    "ffmpeg-rtmp", "rtmp", ".flv", lambda url, path: ffmpeg_player("ffmpeg", url, path)
)
FFMPEG_FLV = Player(
    "ffmpeg-flv", "flv", ".flv", lambda url, path: ffmpeg_player("ffmpeg", url, path)
)
# A file that it may write HEVC and AV1 to, without what FLV makes of times.
FFMPEG9_RTMP = Player(
    "ffmpeg9-rtmp", "rtmp", ".mkv", lambda url, path: ffmpeg_player(FFMPEG9, url, path)
)
FFMPEG9_FLV = Player(
    "ffmpeg9-flv", "flv", ".mkv", lambda url, path: ffmpeg_player(FFMPEG9, url, path)
)
MPV_RTMP = Player("mpv-rtmp", "rtmp", ".mkv", _mpv)
MPV_FLV = Player("mpv-flv", "flv", ".mkv", _mpv)
VLC_RTMP = Player("vlc-rtmp", "rtmp", ".mkv", _vlc)
VLC_FLV = Player("vlc-flv", "flv", ".mkv", _vlc)
# What they record is written anew: H.264 and HEVC have other bytes in a transport stream.
CURL_TS = Player("curl-ts", "ts", ".ts", lambda url, path: ["curl", "-sS", "-f", "-o", path, url])
FFMPEG_TS = Player("ffmpeg-ts", "ts", ".mkv", lambda url, path: ffmpeg_player("ffmpeg", url, path))
FFMPEG9_TS = Player("ffmpeg9-ts", "ts", ".mkv", lambda url, path: ffmpeg_player(FFMPEG9, url, path))
MPV_TS = Player("mpv-ts", "ts", ".mkv", _mpv)
VLC_TS = Player("vlc-ts", "ts", ".mkv", _vlc)
GSTREAMER_TS = {
    video: Player("gstreamer-ts", "ts", ".mkv", _gstreamer_ts(parser))
    for video, parser in (("h264", "h264parse"), ("hevc", "h265parse"), ("", ""))
}
"""GStreamer for each kind of video."""

FFMPEG_HLS = Player("ffmpeg-hls", "m3u8", ".mkv", _ffmpeg_hls("ffmpeg"))
FFMPEG9_HLS = Player("ffmpeg9-hls", "m3u8", ".mkv", _ffmpeg_hls(FFMPEG9))
MPV_HLS = Player("mpv-hls", "m3u8", ".mkv", _mpv)
VLC_HLS = Player("vlc-hls", "m3u8", ".mkv", _vlc)
# Of a list with a single segment it cannot find that one again in the next version: it jumps to
# the end then. So it plays what has been there for a while.
GSTREAMER_HLS = Player("gstreamer-hls", "m3u8", ".mkv", _gstreamer_hls)

# Without a muxer that waits for one track while the other begins anew.
GSTREAMER_HLS_VIDEO = Player(
    "gstreamer-hls-video",
    "m3u8",
    ".h264",
    lambda url, path: [
        *("gst-launch-1.0", "-q", "urisourcebin", f"uri={url}", "parse-streams=true"),
        *("name=source", "source.", "!", "video/x-h264", "!", "queue", "!", "h264parse", "!"),
        *("video/x-h264,stream-format=byte-stream", "!", "filesink", f"location={path}"),
        *("source.", "!", "audio/mpeg", "!", "queue", "!", "fakesink", "sync=false"),
    ],
)
# Matroska takes no track that comes later, as after a discontinuity.
VLC_HLS_TS = Player(
    "vlc-hls-ts",
    "m3u8",
    ".ts",
    lambda url, path: [
        *(_AS_NOBODY if os.getuid() == 0 else ()),
        *("cvlc", "-I", "dummy", "--no-dbus", url),
        *("--sout", f"#std{{access=file,mux=ts,dst={path}}}", "vlc://quit"),
    ],
)

HLS = (FFMPEG_HLS, FFMPEG9_HLS, MPV_HLS, VLC_HLS)
"""Players of HLS from its first segment on."""

TS = (CURL_TS, FFMPEG_TS, FFMPEG9_TS, MPV_TS, VLC_TS)
"""Players of HTTP-TS, whatever is in it."""

EXACT = (
    CURL,
    CURL_1_0,
    RTMPDUMP,
    RTMPSRC,
    FFMPEG_RTMP,
    FFMPEG_FLV,
    FFMPEG9_RTMP,
    FFMPEG9_FLV,
    MPV_RTMP,
    MPV_FLV,
)
"""Players that record every packet, byte for byte, but for what the muxer of their file needs."""

VLC = (VLC_RTMP, VLC_FLV)
ALL = (*EXACT, RTMP2SRC, *VLC)


def publish_command(
    source: Path, address: str, *options: str, program: str = "ffmpeg", realtime: bool = True
) -> Command:
    """Return the command of an FFmpeg that publishes a file as it is.

    Args:
        source: The file.
        address: Where to.
        options: More options for the output.
        program: Which FFmpeg.
        realtime: As fast as it is to be played; otherwise as fast as it goes.
    """
    pace = ["-re"] if realtime else []
    return [
        *(program, "-v", "error", *pace, "-i", str(source)),
        *("-map", "0", "-c", "copy", *options, "-f", "flv", address),
    ]


def wait_for_waiting(server: Server, count: int) -> None:
    """Wait until that many players wait for streams that nobody publishes yet."""
    wait_until(lambda: server.api("status")["waiting"] >= count, f"{count} players waited")


def wait_for_viewers(server: Server, stream: str, count: int) -> None:
    """Wait until a stream, which is published, has that many viewers."""
    wait_until(
        lambda: server.api(f"streams/{stream}")["viewers"] >= count, f"{count} players played"
    )


def pass_through(
    server: Server, stream: str, command: Sequence[str | Path], folder: Path, player: Player = CURL
) -> Path:
    """Publish by a program while a player waits for it, and return what the player recorded.

    Raises:
        Failed: The publisher or the player did not end well.
    """
    recording = player.start(server, stream, folder)
    with recording.program:
        wait_for_waiting(server, 1)
        with Program(command, folder, "publisher") as publisher:
            publisher.finish()
        return recording.finish()
