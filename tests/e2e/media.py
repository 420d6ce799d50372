"""Clips to publish, and how to tell whether what came out is what went in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.e2e.processes import Failed, run

FRAME_RATE = 30
GOP_FRAMES = 30


class Frame(NamedTuple):
    """One packet or decoded frame, as FFmpeg's framemd5 muxer tells.

    Attributes:
        dts: Decode time in ticks of the output's time base.
        pts: Presentation time.
        duration: In the same ticks.
        size: In bytes.
        digest: MD5 of the bytes, in hexadecimal.
    """

    dts: int
    pts: int
    duration: int
    size: int
    digest: str


def make_clip(path: Path, seconds: float = 6.0, options: Sequence[str] = ()) -> Path:
    """Make an FLV file of H.264 with B-frames, 320x240, 30 frames a second, and AAC.

    Each frame shows its number, each second begins with a keyframe, and the sound changes all
    the time: no two packets are alike.

    Args:
        path: Where to.
        seconds: Its length.
        options: More options of FFmpeg for the output.
    """
    video = f"testsrc2=size=320x240:rate={FRAME_RATE}:duration={seconds}"
    audio = f"aevalsrc=0.3*sin(2*PI*t*(300+100*t)):s=44100:d={seconds}"
    run(
        [
            *("ffmpeg", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio),
            *("-c:v", "libx264", "-preset", "veryfast", "-b:v", "500k", "-pix_fmt", "yuv420p"),
            *("-g", str(GOP_FRAMES), "-keyint_min", str(GOP_FRAMES), "-sc_threshold", "0"),
            *("-bf", "2", "-c:a", "aac", "-b:a", "64k", "-ac", "2", "-shortest"),
            *options,
            *("-f", "flv", path),
        ],
        path.parent,
    )
    return path


def make_flashes(path: Path, b_frames: int, seconds: float = 8.0) -> Path:
    """Make an FLV file that flashes and beeps for a tenth of each second, at the same moment.

    Args:
        path: Where to.
        b_frames: As many stand between two others, always.
        seconds: Its length.
    """
    on = "lt(mod(t\\,1)\\,0.1)"
    video = f"color=black:size=320x240:rate={FRAME_RATE}:duration={seconds},drawbox=t=fill:c=white"
    audio = f"aevalsrc=0.5*sin(2*PI*1000*t)*{on}:s=48000:d={seconds}"
    coding = f"bframes={b_frames}:b-adapt=0:scenecut=0:keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}"
    run(
        [
            *("ffmpeg", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", f"{video}:enable={on}", "-f", "lavfi", "-i", audio),
            *("-c:v", "libx264", "-preset", "ultrafast", "-x264-params", coding),
            *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-f", "flv", path),
        ],
        path.parent,
    )
    return path


def flashes(source: Path) -> list[float]:
    """Return when the pictures of `make_flashes` become bright, in seconds."""
    return _rises(
        source,
        f"movie={source},signalstats",
        "lavfi.signalstats.YAVG",
        lambda value: float(value) > 100,
    )


def beeps(source: Path) -> list[float]:
    """Return when the sound of `make_flashes` begins, in seconds, to some milliseconds."""
    return _rises(
        source,
        f"amovie={source},asetnsamples=n=240,astats=metadata=1:reset=1",
        "lavfi.astats.Overall.Peak_level",
        lambda value: value != "-inf" and float(value) > -20,
    )


def assert_in_step(seen: Sequence[float], heard: Sequence[float], least: int) -> None:
    """Check that it beeps whenever it flashes, not more than 40 ms apart.

    Args:
        seen: Of `flashes`.
        heard: Of `beeps`.
        least: How many there must be; the first and the last of a viewer may lack the other half.
    """
    pairs = [(x, min(heard, key=lambda y: abs(y - x))) for x in seen]
    pairs = [(x, y) for x, y in pairs if abs(x - y) < 0.5]
    apart = [y - x for x, y in pairs]
    if len(pairs) < least or max(map(abs, apart)) > 0.040:
        raise Failed(f"flashes at {seen}, beeps at {heard}: apart {apart}")


def _rises(source: Path, graph: str, tag: str, is_on: Callable[[str], bool]) -> list[float]:
    entries = f"frame=pts_time:frame_tags={tag}"
    command = ["ffprobe", "-v", "error", "-f", "lavfi", "-i", graph, "-show_entries", entries]
    with TemporaryDirectory() as folder:
        rows = run([*command, "-of", "csv=p=0"], Path(folder)).output.decode("ascii").split()
    found = []
    before = True
    for line in rows:
        time, value, *_ = line.split(",")
        now = is_on(value)
        if now and not before:
            found.append(float(time))
        before = now
    if not found:
        raise Failed(f"{source} never rises")
    return found


def packets(
    source: Path | str, kind: str = "v", seconds: float = 60.0, program: str = "ffmpeg"
) -> list[Frame]:
    """List the packets of one track as they are in a file, without decoding.

    Args:
        source: A file, or an address that ends.
        kind: "v" or "a", with a number where there are several: "v:1".
        seconds: The most that it may take.
        program: Which FFmpeg.

    Raises:
        Failed: FFmpeg cannot read it, or there is no such track.
    """
    return _frames(source, ["-map", f"0:{kind}", "-c", "copy"], seconds, program)


def pictures(source: Path | str, seconds: float = 60.0, program: str = "ffmpeg") -> list[Frame]:
    """Decode the video of a file; every error of the decoder is one of the test.

    Raises:
        Failed: Something cannot be decoded.
    """
    options = ["-map", "0:v", "-fps_mode", "passthrough"]
    return _frames(source, options, seconds, program, strict=True)


def sounds(
    source: Path | str, seconds: float = 60.0, program: str = "ffmpeg", kind: str = "a"
) -> list[Frame]:
    """Decode the audio of a file, as `pictures` does the video; "a:1" is the second track."""
    return _frames(source, ["-map", f"0:{kind}"], seconds, program, strict=True)


def _frames(
    source: Path | str,
    options: Sequence[str],
    seconds: float,
    program: str,
    *,
    strict: bool = False,
) -> list[Frame]:
    checks = ["-xerror", "-err_detect", "explode"] if strict else []
    command = [program, "-v", "error", *checks, "-copyts", "-i", str(source), *options]
    with TemporaryDirectory() as folder:
        done = run([*command, "-f", "framemd5", "-"], Path(folder), seconds=seconds)
        output, errors = done.output.decode("ascii"), done.errors.strip()
    if strict and errors:
        raise Failed(f"decoding {source}: {errors[:2000]}")
    # Packets with side data have more fields than these six.
    rows = [
        [field.strip() for field in line.split(",")[:6]]
        for line in output.splitlines()
        if not line.startswith("#")
    ]
    return [
        Frame(int(dts), int(pts), int(duration), int(size), digest)
        for _stream, dts, pts, duration, size, digest in rows
    ]


def assert_same(received: Sequence[Frame], sent: Sequence[Frame]) -> None:
    """Check that all frames came, in order, byte for byte."""
    found, expected = [frame.digest for frame in received], [frame.digest for frame in sent]
    if found != expected:
        first = next(
            (
                place
                for place, (one, other) in enumerate(zip(found, expected, strict=False))
                if one != other
            ),
            min(len(found), len(expected)),
        )
        raise Failed(
            f"{len(found)} frames came of {len(expected)} sent; the first difference is at {first}"
        )


def assert_part(received: Sequence[Frame], sent: Sequence[Frame], least: int = 1) -> int:
    """Check that what came is a piece of what was sent, without a gap.

    Args:
        received: Of a viewer that joined or left in the middle.
        sent: The whole clip, once.
        least: How many frames must have come.

    Returns:
        Where in `sent` it begins.
    """
    if len(received) < least:
        raise Failed(f"{len(received)} frames came, not at least {least}")
    digests = [frame.digest for frame in sent]
    if received[0].digest not in digests:
        raise Failed("the first frame that came was never sent")
    start = digests.index(received[0].digest)
    assert_same(received, sent[start : start + len(received)])
    return start


def assert_but(received: Sequence[Frame], sent: Sequence[Frame], missing: int) -> None:
    """Check that all frames came, in order, but for a few, wherever they were.

    With B-frames the picture of a stream's last packet is not the last picture.

    Args:
        received: Of a viewer.
        sent: The whole clip, once.
        missing: The most that may be missing.
    """
    came = {frame.digest for frame in received}
    assert_same(received, [frame for frame in sent if frame.digest in came])
    if len(received) < len(sent) - missing:
        raise Failed(f"{len(received)} frames came of {len(sent)} sent")


def assert_monotone(frames: Sequence[Frame]) -> None:
    """Check that decode times increase strictly, and no frame is shown before it is decoded."""
    for before, after in pairwise(frames):
        if after.dts <= before.dts:
            raise Failed(f"decode time {after.dts} comes after {before.dts}")
    for frame in frames:
        if frame.pts < frame.dts:
            raise Failed(f"a frame decoded at {frame.dts} is shown at {frame.pts}")
