"""What is done to pictures and sound between decoder and encoder. In the child process only."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.filter import Graph
from av.video.frame import VideoFrame

from ntvmedia.avtools.clock import TICKS
from ntvmedia.media.relaying import VideoOptions

# What encoders, players and browsers all have.
PIXELS: Final = "yuv420p"

_TIME_BASE: Final = Fraction(1, TICKS)

# Sound that is missing or too much, in seconds, before the times of samples are believed more than
# their number.
_LARGEST_DRIFT: Final = 0.1

_LONGEST_SILENCE: Final = 2.0

# What so many channels are where nobody says it (ISO/IEC 23001-8 section 8).
_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}

Shape = tuple[int, int, str, Fraction]
"""Width, height, pixel format and shape of a pixel."""


def size_for(options: VideoOptions, width: int, height: int, pixel: Fraction) -> tuple[int, int]:
    """Return the size of what is encoded, both even.

    Args:
        options: Either side may be 0, for what keeps the shape of the picture.
        width: Of what comes, in pixels.
        height: Likewise.
        pixel: Width to height of one of these.
    """
    if not options.width and not options.height:
        return max(2, width & ~1), max(2, height & ~1)
    shape = Fraction(width, height) * pixel
    wide = options.width or round(options.height * shape)
    high = options.height or round(options.width / shape)
    return max(2, wide + 1 & ~1), max(2, high + 1 & ~1)


class Pictures:
    """A filter graph for pictures, built anew when what comes has another shape.

    Args:
        chain: Called with the shape of what comes; returns filters and their arguments.
    """

    def __init__(self, chain: Any) -> None:
        self._chain = chain
        self._shape: Shape | None = None
        self._graph: Any = None

    def push(self, frame: VideoFrame, pixel: Fraction) -> Iterator[VideoFrame]:
        """Give a frame, whose times are in `TICKS`, and yield those that are done."""
        shape: Shape = (frame.width, frame.height, frame.format.name, pixel)
        if shape != self._shape:
            if self._graph is not None:
                yield from self.flush()
            self._build(shape)
        if self._graph is None:
            yield frame
            return
        self._graph.vpush(frame)
        yield from self._pull()

    def flush(self) -> Iterator[VideoFrame]:
        """Yield what is still in it; what comes next begins another graph."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._pull()
            self._graph, self._shape = None, None

    def _build(self, shape: Shape) -> None:
        width, height, pixels, _pixel = shape
        self._shape, self._graph = shape, None
        chain = self._chain(shape)
        if not chain:
            return
        graph: Any = Graph()
        nodes = [
            graph.add_buffer(
                width=width, height=height, format=av.VideoFormat(pixels), time_base=_TIME_BASE
            )
        ]
        nodes += [graph.add(name, arguments) for name, arguments in chain]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        self._graph = graph

    def _pull(self) -> Iterator[VideoFrame]:
        while True:
            try:
                yield self._graph.vpull()
            except (BlockingIOError, EOFError):
                return


class Layouts:
    """Gives sound whose channels have no names the usual ones: Windows Media's has none."""

    def __init__(self) -> None:
        self._shape: tuple[Any, ...] = ()
        self._resampler: Any = None

    def named(self, frame: Any) -> list[Any]:
        """Return the frame, or what it becomes."""
        count = len(frame.layout.channels)
        if not frame.layout.name.endswith("channels") or count not in _LAYOUTS:
            return [frame]
        shape = (frame.format.name, count, frame.sample_rate)
        if shape != self._shape:
            self._shape = shape
            self._resampler = AudioResampler("fltp", _LAYOUTS[count], frame.sample_rate)
        frame.pts = None
        made: list[Any] = self._resampler.resample(frame)
        return made


class Sound:
    """Sound of any kind into frames that an encoder takes, one after the other without a hole.

    Args:
        sample_rate: Of what comes out, in hertz.
        layout: "mono" or "stereo".
        sample_format: As the encoder wants it: "fltp", "flt", "s16".
        frame_size: Samples of each frame.
    """

    def __init__(self, sample_rate: int, layout: str, sample_format: str, frame_size: int) -> None:
        self._rate = sample_rate
        self._layout = layout
        self._format = sample_format
        self._frame_size = frame_size
        self._resampler: Any = None
        self._shape: tuple[Any, ...] = ()
        self._fifo = AudioFifo()
        self._start: int | None = None
        self._given = 0  # samples put into the fifo since `_start`
        self._taken = 0

    def push(self, frame: Any, ticks: int) -> Iterator[Any]:
        """Give a frame of sound, and yield those of the encoder.

        Args:
            frame: An `av.audio.frame.AudioFrame`.
            ticks: Its time, in `TICKS`.
        """
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self._shape = shape
            self._resampler = AudioResampler(self._format, self._layout, self._rate)
        wanted = ticks * self._rate // TICKS
        if self._start is None:
            self._start = wanted
        drift = (wanted - self._start - self._given) / self._rate
        if drift > _LARGEST_DRIFT:
            if drift <= _LONGEST_SILENCE:
                self._write(self._silence(round(drift * self._rate)))
            else:
                yield from self._read(partial=True)
                self._start, self._given, self._taken = wanted, 0, 0
        elif drift < -_LARGEST_DRIFT:
            return  # it was there already
        frame.pts = None
        for piece in self._resampler.resample(frame):
            self._write(piece)
        yield from self._read()

    def flush(self) -> Iterator[Any]:
        """Yield what is still in it."""
        if self._resampler is not None:
            for piece in self._resampler.resample(None):
                self._write(piece)
        yield from self._read()
        yield from self._read(partial=True)

    def _write(self, frame: Any) -> None:
        frame.pts = None
        self._fifo.write(frame)
        self._given += frame.samples

    def _read(self, *, partial: bool = False) -> Iterator[Any]:
        while True:
            frame = self._fifo.read(self._frame_size, partial=partial)
            if frame is None or not frame.samples:
                return
            frame.pts = (self._start or 0) + self._taken
            frame.time_base = Fraction(1, self._rate)
            self._taken += frame.samples
            yield frame

    def _silence(self, samples: int) -> Any:
        frame: Any = av.AudioFrame(self._format, self._layout, samples)
        frame.sample_rate = self._rate
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        return frame
