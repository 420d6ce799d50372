"""Packets out of a container, at the speed of life, over and over where it loops.

In the child process only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import av

from ntvmedia.avtools.job import Probe, ProbedTrack
from ntvmedia.avtools.pacing import Pace
from ntvmedia.avtools.sources import Source
from ntvmedia.avtools.tracks import stream_of
from ntvmedia.avtools.transcoding import Pipeline
from ntvmedia.errors import RemoteError

# Of what a container says of itself, by the names of onMetaData.
_METADATA: Final = {"title": "title", "artist": "author", "copyright": "copyright"}
_MAX_METADATA: Final = 200

# A loop of less than this would only make work: pictures of one frame come at this pace.
_MIN_LOOP_SECONDS: Final = Fraction(1, 25)

_MICROSECONDS: Final = 1_000_000


class Demuxing:
    """Reads a source into a pipeline.

    Args:
        source: Where from.
        note: Takes lines for the operator.
    """

    def __init__(self, source: Source, note: Callable[[str], None]) -> None:
        self._source = source
        self._note = note
        self._pace = None if source.is_paced else Pace()
        self._keys: set[int] = set()
        self._shape: list[tuple[str, str]] = []
        self._current: Any = None
        self.container: Any = None

    def open(self, pipeline: Pipeline) -> None:
        """Open the source, and tell a pipeline of its streams.

        Raises:
            RemoteError: There is nothing in it that could be of use.
            av.FFmpegError: It cannot be opened.
        """
        self.container = self._current = container = self._source.open()
        self._shape = _shape_of(container)
        for stream in _best_first(container):
            described = stream_of(stream)
            if described is None:
                if stream.type in ("video", "audio"):
                    self._note(f"stream {stream.index} is of a codec that FFmpeg does not know")
                continue
            pipeline.add_stream(stream.index, described)
            self._keys.add(stream.index)
        if not self._keys:
            raise RemoteError("there is neither video nor audio in it")
        if pipeline.is_empty:
            raise RemoteError("there is nothing in it that is wanted", is_permanent=True)

    def run(self, pipeline: Pipeline, flush: Callable[[], None]) -> None:
        """Read to the end, or for ever where it loops.

        Args:
            pipeline: Gets the packets.
            flush: Called when something was given: send it on.

        Raises:
            RemoteError: It cannot be gone on with.
            av.FFmpegError: Likewise.
        """
        offset = Fraction(0)
        while True:
            span = _Span()
            for packet in self._packets():
                span.add(packet)
                self._move(packet, offset)
                if self._pace is not None and packet.dts is not None:
                    delay = self._pace.delay(float(packet.dts * packet.time_base), time.monotonic())
                    if delay:
                        flush()
                        time.sleep(delay)
                pipeline.feed(packet.stream_index, packet)
                flush()
            if not self._source.loops or not span.has_packets:
                return
            offset += max(span.seconds, _MIN_LOOP_SECONDS)
            # The first one stays open: the pipeline decodes with its streams.
            self._current = self._source.open()
            if _shape_of(self._current) != self._shape:
                raise RemoteError("the file has changed")

    def _packets(self) -> Iterator[Any]:
        for packet in self._current.demux():
            if packet.size and packet.stream_index in self._keys:
                yield packet

    @staticmethod
    def _move(packet: Any, offset: Fraction) -> None:
        if offset:
            ticks = round(offset / packet.time_base)
            if packet.pts is not None:
                packet.pts += ticks
            if packet.dts is not None:
                packet.dts += ticks


class _Span:
    """How long one pass of a file is, by its longest track."""

    def __init__(self) -> None:
        self._begin: Fraction | None = None
        self._end = Fraction(0)
        self._last: dict[int, int] = {}

    @property
    def has_packets(self) -> bool:
        """Whether there was one with a time."""
        return self._begin is not None

    @property
    def seconds(self) -> Fraction:
        """From the first presentation to the end of the last."""
        return self._end - (self._begin or 0)

    def add(self, packet: Any) -> None:
        """Take a packet, as it was read."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:
            return
        key = packet.stream_index
        duration = packet.duration
        if not duration:
            # As long as the one before it.
            duration = max(0, time - self._last.get(key, time))
        self._last[key] = time
        begin = time * packet.time_base
        end = (time + duration) * packet.time_base
        if self._begin is None or begin < self._begin:
            self._begin = begin
        if end > self._end:
            self._end = end


def metadata_of(container: Any) -> dict[str, object]:
    """Return what a container says of itself, as onMetaData would."""
    given = container.metadata
    found = ((ours, given.get(theirs, "")) for theirs, ours in _METADATA.items())
    return {name: text[:_MAX_METADATA] for name, text in found if text}


def probe_of(container: Any) -> Probe:
    """Return what is in a container."""
    return Probe(
        container.format.name,
        (container.duration or 0) / _MICROSECONDS,
        (container.bit_rate or 0) // 1000,
        tuple(_probed(stream) for stream in container.streams),
    )


def _probed(stream: Any) -> ProbedTrack:
    language = stream.metadata.get("language", "")
    language = "" if language == "und" else language
    context = stream.codec_context
    if context is None or stream.type not in ("video", "audio"):
        name = "" if context is None else context.name
        return ProbedTrack(stream.type or "unknown", name, language=language)
    bitrate_kbps = (context.bit_rate or 0) // 1000
    codec, profile = context.codec.canonical_name, context.profile or ""
    if stream.type == "video":
        return ProbedTrack(
            "video",
            codec,
            profile,
            context.width,
            context.height,
            float(stream.average_rate or 0),
            bitrate_kbps=bitrate_kbps,
            language=language,
        )
    return ProbedTrack(
        "audio",
        codec,
        profile,
        sample_rate=context.sample_rate or 0,
        channels=context.channels or 0,
        bitrate_kbps=bitrate_kbps,
        language=language,
    )


def _best_first(container: Any) -> list[Any]:
    """Order the streams that belong together: the best video, then the audio that goes with it.

    A multiplex of several programmes, as television has, gives one: others have videos too, and
    of the audio only what FFmpeg finds related is sure to belong to the best.
    """
    streams = container.streams
    covers = av.stream.Disposition.attached_pic
    videos = [x for x in streams.video if not x.disposition & covers]
    audios = list(streams.audio)
    if len(videos) < 2:
        best = streams.best("audio")
        return [*videos, *sorted(audios, key=lambda x: x is not best)]
    video = streams.best("video")
    video = video if video in videos else videos[0]
    audio = streams.best("audio", related=video)
    return [video, *([audio] if audio is not None else [])]


def _shape_of(container: Any) -> list[tuple[str, str]]:
    return [
        (x.type or "", "" if x.codec_context is None else x.codec_context.name)
        for x in container.streams
    ]
