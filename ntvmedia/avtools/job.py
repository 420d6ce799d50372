"""What a child process is told to do, and what it says of a source that it looked at.

Parent and child are of one release and one machine, so the JSON is that of these tuples: a job is
`{"input": {"kind": ..., ...}, "outputs": [[video, audio], ...], "probe": ..., "limits": {...}}`.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, TypeAlias

from ntvmedia.errors import PeerError
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions

_REFERENCE: Final = "avtools job"


class URLInput(NamedTuple):
    """An address that FFmpeg opens, in a protocol of its own.

    Attributes:
        url: With an IP address for its host, which the parent has checked.
        format: The demuxer, the only one: "asf".
        protocols: All that FFmpeg may use for it: "mmst", "tcp".
        options: For demuxer and protocol.
    """

    url: str
    format: str
    protocols: tuple[str, ...]
    options: dict[str, str] = {}  # noqa: RUF012 - a field of a tuple, which nobody changes


class DatagramInput(NamedTuple):
    """MPEG-TS in UDP, as it is or in RTP.

    Attributes:
        address: Of this machine, or a group; empty for any.
        port: 1 to 65535.
        interface: The name of a network interface, or its address; empty for the system's choice.
        sources: Addresses that it may come from; empty for all.
        must_be_rtp: Nothing else is taken.
        receive_buffer: Bytes that the kernel is to keep.
    """

    address: str
    port: int
    interface: str = ""
    sources: tuple[str, ...] = ()
    must_be_rtp: bool = False
    receive_buffer: int = 4 << 20


class FileInput(NamedTuple):
    """A file.

    Attributes:
        path: Absolute, or below one of the folders.
        folders: The file is in one of them, wherever links lead.
        loop: It begins anew at its end.
    """

    path: str
    folders: tuple[str, ...]
    loop: bool = False


class DataInput(NamedTuple):
    """Bytes that the parent reads, of a body of HTTP for one.

    Attributes:
        format: The demuxer; empty to choose it by the first bytes.
    """

    format: str = ""


class PacketsInput(NamedTuple):
    """Tracks and packets that the parent has."""


class CardInput(NamedTuple):
    """A test card: moving pictures with a clock, and a tone.

    Attributes:
        width: In pixels, even.
        height: Likewise.
        frame_rate: Frames a second.
        tone: In hertz; 0 for silence.
    """

    width: int = 640
    height: int = 360
    frame_rate: float = 25.0
    tone: int = 440


Input: TypeAlias = URLInput | DatagramInput | FileInput | DataInput | PacketsInput | CardInput
"""Where the media comes from."""

_INPUTS: Final[dict[str, type[Any]]] = {
    "url": URLInput,
    "datagrams": DatagramInput,
    "file": FileInput,
    "data": DataInput,
    "packets": PacketsInput,
    "card": CardInput,
}
_KINDS: Final = {value: key for key, value in _INPUTS.items()}


class Limits(NamedTuple):
    """What a child process may take.

    Attributes:
        memory_bytes: Of its own, used or not.
        limits_addresses: Those hold for its whole address space too, of which drivers of graphics
            cards reserve a hundred times as much.
        cpu_seconds: Of processor time in all; 0 for no limit.
        cpu_share: Of one core, on the average of `CPU_SECONDS`; 0 for no limit.
        open_seconds: From its start to its first track.
        stall_seconds: From one media packet to the next.
    """

    memory_bytes: int = 1 << 30
    limits_addresses: bool = True
    cpu_seconds: int = 0
    cpu_share: float = 0.0
    open_seconds: float = 20.0
    stall_seconds: float = 10.0


COPY_LIMITS: Final = Limits(cpu_share=0.9)
"""Of a job that encodes nothing: 54 Mb/s of MPEG-TS by UDP take 0.06 of a core."""

TRANSCODING_LIMITS: Final = Limits(memory_bytes=6 << 30)
"""Of one that does: x265 of 4K takes 3 GiB, with a thread's 64 MiB for each core."""

PROBE_LIMITS: Final = Limits(cpu_seconds=20)
"""Of one that looks at a source."""


def limits_of(outputs: tuple[OutputOptions, ...], source: Input | None = None) -> Limits:
    """Return the limits of a job with these outputs; a test card is always encoded."""
    if all(x.is_copy for x in outputs) and not isinstance(source, CardInput):
        return COPY_LIMITS
    is_software = all(x.video.encoder == "software" for x in outputs)
    return TRANSCODING_LIMITS._replace(limits_addresses=is_software)


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        input: Where it comes from.
        outputs: What is made of it; not used for a probe.
        probe: Only say what is in it.
        limits: What it may take.
    """

    input: Input
    outputs: tuple[OutputOptions, ...] = (OutputOptions(),)
    probe: bool = False
    limits: Limits = COPY_LIMITS


class ProbedTrack(NamedTuple):
    """One track of a source.

    Attributes:
        kind: "video" or "audio"; what FFmpeg calls others.
        codec: FFmpeg's name: "h264", "wmv3"; empty where it does not know it.
        profile: "High", "LC"; or empty.
        width: In pixels; 0 where it is not known, as of all that follow.
        height: In pixels.
        frame_rate: Frames a second.
        sample_rate: In hertz.
        channels: Of audio.
        bitrate_kbps: Thousands of bits a second.
        language: As the source tells it, or empty.
    """

    kind: str
    codec: str
    profile: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    bitrate_kbps: int = 0
    language: str = ""


class Probe(NamedTuple):
    """What is in a source.

    Attributes:
        format: FFmpeg's name of the container.
        duration_seconds: 0.0 where it is live, or not known.
        bitrate_kbps: Of all; 0 where it is not known.
        tracks: In the source's order.
    """

    format: str
    duration_seconds: float = 0.0
    bitrate_kbps: int = 0
    tracks: tuple[ProbedTrack, ...] = ()


def build_job(job: Job) -> bytes:
    """Write a job as JSON."""
    fields = {
        "input": {"kind": _KINDS[type(job.input)], **job.input._asdict()},
        "outputs": job.outputs,
        "probe": job.probe,
        "limits": job.limits._asdict(),
    }
    return json.dumps(fields).encode()


def read_job(body: bytes) -> Job:
    """Read a job.

    Raises:
        PeerError: It is none.
    """
    try:
        fields = json.loads(body)
        given = {key: _frozen(value) for key, value in fields["input"].items()}
        return Job(
            _INPUTS[given.pop("kind")](**given),
            tuple(
                OutputOptions(VideoOptions(*video), AudioOptions(*audio))
                for video, audio in fields["outputs"]
            ),
            fields["probe"],
            Limits(**fields["limits"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise PeerError("no job", reference=_REFERENCE) from None


def build_probe(probe: Probe) -> bytes:
    """Write what was found as JSON."""
    return json.dumps([*probe[:3], probe.tracks]).encode()


def read_probe(body: bytes) -> Probe:
    """Read what was found.

    Raises:
        PeerError: It is none.
    """
    try:
        container, seconds, bitrate_kbps, tracks = json.loads(body)
        return Probe(
            str(container),
            float(seconds),
            int(bitrate_kbps),
            tuple(_read_track(track) for track in tracks),
        )
    except (IndexError, KeyError, OverflowError, TypeError, ValueError, RecursionError):
        raise PeerError("no probe", reference=_REFERENCE) from None


def _read_track(fields: list[Any]) -> ProbedTrack:
    kind, codec, profile, width, height, frame_rate, rate, channels, bitrate_kbps, language = fields
    return ProbedTrack(
        str(kind),
        str(codec),
        str(profile),
        int(width),
        int(height),
        float(frame_rate),
        int(rate),
        int(channels),
        int(bitrate_kbps),
        str(language),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
