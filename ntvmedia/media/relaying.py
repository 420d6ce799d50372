"""How streams are pulled, changed and pushed: what a task tells its sources and targets."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

MAX_HOPS: Final = 4
"""Servers that a stream may have passed before it is refused (E-ST-08)."""

VideoCodec: TypeAlias = Literal["copy", "none", "h264", "hevc"]
"""What becomes of the video: it is passed on as it is, left out, or encoded anew."""

AudioCodec: TypeAlias = Literal["copy", "none", "aac", "opus"]
"""Likewise of the audio."""


class VideoOptions(NamedTuple):
    """What a video track is made into.

    Attributes:
        codec: "copy" makes all others void.
        bitrate_kbps: 0 for that of the source, where it tells one, or what suits the size.
        width: In pixels, even; 0 for what keeps the shape of the picture, or its size.
        height: Likewise.
        frame_rate: Frames a second; 0 for the source's.
        keyframe_seconds: From one keyframe to the next.
        preset: Of x264 and x265: "ultrafast" to "veryslow".
        deinterlace: "auto": where the source says that it is interlaced.
        encoder: "auto" takes hardware where there is some that works.
    """

    codec: VideoCodec = "copy"
    bitrate_kbps: int = 0
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    keyframe_seconds: float = 2.0
    preset: str = "veryfast"
    deinterlace: Literal["auto", "always", "never"] = "auto"
    encoder: Literal["auto", "software", "hardware"] = "software"


class AudioOptions(NamedTuple):
    """What an audio track is made into.

    Attributes:
        codec: "copy" makes all others void.
        bitrate_kbps: 0 for 64 per channel, 0 to 320.
        sample_rate: In hertz; 0 for the source's, or the nearest that the codec has.
        channels: 0 for the source's, at most 2.
    """

    codec: AudioCodec = "copy"
    bitrate_kbps: int = 0
    sample_rate: int = 0
    channels: int = 0


class OutputOptions(NamedTuple):
    """One stream that is made of a source."""

    video: VideoOptions = VideoOptions()
    audio: AudioOptions = AudioOptions()

    @property
    def is_copy(self) -> bool:
        """Whether nothing is encoded: packets pass as they are, or are left out."""
        return {self.video.codec, self.audio.codec} <= {"copy", "none"}


class PullOptions(NamedTuple):
    """How a source is asked.

    Attributes:
        transport: Of RTSP: "auto" is UDP, then TCP.
        loop: A file begins anew at its end.
        stall_seconds: Without a media packet, after which the task gives up; a source may use it
            for its own deadlines.
        hops: Ids of the servers that the stream has passed to its viewers who want it, our own
            last: told to the other server, which refuses where its own is among them.
        memory: What a source keeps for the next pull of the same address by the same task, such as
            what it has given on already, each under a name of its own; None where it need not.
    """

    transport: Literal["auto", "tcp", "udp"] = "auto"
    loop: bool = True
    stall_seconds: float = 10.0
    hops: tuple[str, ...] = ()
    memory: dict[str, Any] | None = None


class PushOptions(NamedTuple):
    """How a target is asked.

    Attributes:
        transport: Of RTSP: "auto" is TCP, then UDP.
        stall_seconds: Without anything taken, after which the push ends.
        hops: Ids of the servers that the stream has passed, our own last.
    """

    transport: Literal["auto", "tcp", "udp"] = "auto"
    stall_seconds: float = 10.0
    hops: tuple[str, ...] = ()
