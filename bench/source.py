"""The media that every publisher sends: made once by ffmpeg, read from FLV, looped for ever."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from bench.flv import AUDIO, SCRIPT, TAG_OVERHEAD_BYTES, VIDEO, FLVReader, Media, is_keyframe
from bench.rtsp import RTP_OVERHEAD, rtp_bytes

CACHE: Final = Path(__file__).parent / ".cache"
FFMPEG: Final = "/usr/bin/ffmpeg"

# 24 s are 720 frames at 30 a second and 1125 AAC frames of 1024 samples at 48 kHz: both tracks end
# at the same time, so a loop has no seam.
LOOP_MS: Final = 24_000
GOP_SECONDS: Final = 2


class Rate(NamedTuple):
    """A rate of media, which is part of what is compared: an ffmpeg that misses it must not pass.

    Attributes:
        name: For people.
        video_kbps: What the encoder of the pictures is told.
        limits: Within which both tracks together must be, in kb/s.
    """

    name: str
    video_kbps: int
    limits: tuple[int, int]


ONE_MEGABIT: Final = Rate("1m", 930, (1000, 1100))
TWO_MEGABITS: Final = Rate("2m", 1900, (1950, 2100))

# The noise makes every audio frame different, so that a frame can be told by its content.
_COMMAND: Final = (
    "{ffmpeg} -v error -y -f lavfi -i testsrc2=size=1280x720:rate=30 "
    "-f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000 "
    "-f lavfi -i anoisesrc=color=pink:amplitude=0.2:seed=1:sample_rate=48000 "
    "-filter_complex [1:a][2:a]amix=inputs=2[a] -map 0:v -map [a] -t 24.2 "
    "-c:v libx264 -preset veryfast -pix_fmt yuv420p -profile:v high "
    "-b:v {kbps}k -minrate {kbps}k -maxrate {kbps}k -bufsize {kbps}k "
    "-g 60 -keyint_min 60 -sc_threshold 0 -bf 0 -x264-params nal-hrd=cbr:force-cfr=1 "
    "-c:a aac -b:a 96k -ac 2 -f flv"
)


class Frame(NamedTuple):
    """One frame: `at` is its time in milliseconds from the beginning of the loop."""

    kind: int
    at: int
    body: bytes


class Print(NamedTuple):
    """What a frame is recognised by, whatever a server does to its timestamp."""

    kind: int
    size: int
    crc: int


def fingerprint(kind: int, body: bytes) -> Print:
    """Make the recognisable part of a frame."""
    return Print(kind, len(body), crc32(body))


@dataclass(frozen=True, slots=True)
class Source:
    """The loop.

    Attributes:
        headers: The metadata and decoder configurations, sent once at the beginning.
        frames: All others, by time.
        loop_ms: When the first frame comes again.
    """

    headers: tuple[Frame, ...]
    frames: tuple[Frame, ...]
    loop_ms: int

    @property
    def rate_kbps(self) -> float:
        """Bits of bodies per millisecond."""
        return sum(len(frame.body) for frame in self.frames) * 8 / self.loop_ms

    def due(self, number: int) -> float:
        """Say when frame `number`, counted over all loops, is due: seconds from the first."""
        loops, index = divmod(number, len(self.frames))
        return (loops * self.loop_ms + self.frames[index].at) / 1000

    def index(self) -> dict[Print, int]:
        """Map the prints to places in `frames`; those that are there twice are left out."""
        places: dict[Print, list[int]] = {}
        for place, frame in enumerate(self.frames):
            places.setdefault(fingerprint(frame.kind, frame.body), []).append(place)
        return {key: found[0] for key, found in places.items() if len(found) == 1}


class Expectation:
    """How many bytes a player must get for a run of frames.

    Every frame costs its body and the least header that its protocol allows: FLV's 15 bytes, or
    RTMP's type 1 header (8 bytes) and one byte at the beginning of every further chunk.
    """

    def __init__(self, source: Source, chunk_bytes: int) -> None:
        self._count = len(source.frames)
        sizes = [wire_bytes(frame, chunk_bytes) for frame in source.frames]
        self._sums = [0, *accumulate(sizes)]

    def between(self, first: int, last: int) -> int:
        """Return the bytes of the frames `first` to `last`, both included, over all loops."""
        return self._until(last + 1) - self._until(first)

    def _until(self, number: int) -> int:
        loops, index = divmod(number, self._count)
        return loops * self._sums[-1] + self._sums[index]


def wire_bytes(frame: Frame, chunk_bytes: int) -> int:
    """Return what a frame takes at least, in RTMP chunks, or with chunks of 0 in FLV, or in RTP."""
    size = len(frame.body)
    if chunk_bytes < 0:
        return rtp_bytes(frame.kind, size, 4 if chunk_bytes == RTP_OVERHEAD else 0)
    if not chunk_bytes:
        return size + TAG_OVERHEAD_BYTES
    return size + 8 + max(0, -(-size // chunk_bytes) - 1)


def read_source(data: bytes) -> Source:
    """Make the loop out of an FLV file.

    Raises:
        ValueError: It does not begin with a keyframe, or is shorter than a loop.
    """
    headers, frames = [], []
    for tag in FLVReader().feed(data):
        if tag.kind == SCRIPT or _is_configuration(tag):
            headers.append(Frame(tag.kind, 0, tag.body))
        elif tag.timestamp < LOOP_MS:
            frames.append(Frame(tag.kind, tag.timestamp, tag.body))
    frames.sort(key=lambda frame: frame.at)
    first = next((frame for frame in frames if frame.kind == VIDEO), None)
    if first is None or not is_keyframe(Media(first.kind, first.at, first.body, 0)):
        raise ValueError("the source does not begin with a keyframe")
    if frames[-1].at < LOOP_MS - 100:
        raise ValueError(f"the source ends at {frames[-1].at} ms, before the loop does")
    return Source(tuple(headers), tuple(frames), LOOP_MS)


def load_source(rate: Rate = ONE_MEGABIT) -> Source:
    """Read the source of a rate, made by ffmpeg when it is not there yet.

    Raises:
        ValueError: It misses the rate.
    """
    path = source_path(rate)
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        command = _COMMAND.format(ffmpeg=FFMPEG, kbps=rate.video_kbps).split()
        subprocess.run([*command, str(part)], check=True)
        part.rename(path)
    source = read_source(path.read_bytes())
    if not rate.limits[0] <= source.rate_kbps <= rate.limits[1]:
        raise ValueError(f"{path}: {source.rate_kbps:.0f} kb/s, not within {rate.limits}")
    return source


def source_path(rate: Rate) -> Path:
    """Return where the source of a rate lies, once it was loaded."""
    return CACHE / f"source-{rate.name}-30fps-gop2.flv"


def _is_configuration(tag: Media) -> bool:
    """Tell an AVC or AAC sequence header (FLV 10.1 E.4.2.1, E.4.3.1) from frames."""
    if tag.kind == VIDEO:
        return tag.body[1:2] == b"\0"
    return tag.kind == AUDIO and tag.body[0] >> 4 == 10 and tag.body[1:2] == b"\0"
