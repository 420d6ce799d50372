"""One source into several outputs: copied, left out, or decoded once and encoded for each.

In the child process only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Final

import av

from ntvmedia.avtools.clock import TICKS, SourceClock
from ntvmedia.avtools.encoders import AudioEncoder, VideoEncoder
from ntvmedia.avtools.filters import PIXELS, Layouts, Pictures, Shape, size_for
from ntvmedia.avtools.tracks import (
    MAX_STREAMS_OF_A_KIND,
    AVPacket,
    Copier,
    SourceStream,
    av_packet,
    stream_of_track,
)
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import OutputOptions, VideoOptions

# Packets in a row that no decoder takes, before the source is given up.
MAX_UNDECODABLE: Final = 500

Emit = Callable[[int, Track | Packet], None]
"""Takes the number of an output, and what it is given."""


class Pipeline:
    """All outputs of one source.

    Tell it of all streams first, best first among each kind; then give it packets.

    Args:
        outputs: What is made.
        emit: Gets it.
        note: Takes a line for the operator.
    """

    def __init__(
        self, outputs: Sequence[OutputOptions], emit: Emit, note: Callable[[str], None]
    ) -> None:
        self._outputs = outputs
        self._emit = emit
        self._note = note
        self._clock = SourceClock()
        self._branches: dict[int, _Branch] = {}
        self._tracks: dict[int, Track] = {}
        self._counts = {MediaKind.VIDEO: 0, MediaKind.AUDIO: 0}

    @property
    def is_empty(self) -> bool:
        """Whether no stream so far is of use to any output."""
        return not any(branch.is_used for branch in self._branches.values())

    def add_stream(self, key: int, stream: SourceStream) -> None:
        """Take a stream of the source.

        Args:
            key: What its packets are given with.
            stream: What is known of it.

        Raises:
            RemoteError: An output is to have a copy of it, and no track of ours can carry that.
                Of the second stream of a kind and others this is noted only.
        """
        number = self._counts[stream.kind]
        if number >= MAX_STREAMS_OF_A_KIND:
            return
        try:
            branch = _Branch(self, key, stream, number)
        except RemoteError as error:
            if not number:
                raise
            self._note(f"{stream.kind.value} {number + 1} is left out: {error}")
            return
        self._counts[stream.kind] += 1
        self._branches[key] = branch

    def feed(self, key: int, packet: AVPacket) -> None:
        """Take a packet of a stream.

        Raises:
            RemoteError: It cannot be gone on with.
        """
        branch = self._branches.get(key)
        if branch is not None:
            branch.feed(packet)

    def track_received(self, track: Track) -> None:
        """Take one of our own tracks as a stream, or its new configuration.

        Raises:
            RemoteError: As of `add_stream`.
        """
        if track.kind is MediaKind.DATA or self._tracks.get(track.id) == track:
            return
        self._tracks[track.id] = track
        before = self._branches.get(track.id)
        stream = stream_of_track(track)
        if before is None:
            self.add_stream(track.id, stream)
        else:
            before.reconfigure(stream)
        branch = self._branches.get(track.id)
        if branch is not None:
            branch.copy_neutral(track)

    def packet_received(self, packet: Packet) -> None:
        """Take one of our own packets.

        Raises:
            RemoteError: As of `feed`.
        """
        branch = self._branches.get(packet.track.id)
        if branch is not None:
            branch.copy_neutral(packet)
            branch.decode(av_packet(packet))

    def add_pictures(self, key: int, frame_rate: float) -> None:
        """Take pictures that are not to be decoded as a stream; all outputs encode them."""
        self._outputs = _encoded(self._outputs)
        self._branches[key] = _Branch(self, key, _made(MediaKind.VIDEO, frame_rate=frame_rate), 0)

    def add_sound(self, key: int, sample_rate: int, channels: int) -> None:
        """Take sound likewise."""
        self._outputs = _encoded(self._outputs)
        stream = _made(MediaKind.AUDIO, sample_rate=sample_rate, channels=channels)
        self._branches[key] = _Branch(self, key, stream, 0)

    def feed_frame(self, key: int, frame: Any, ticks: int) -> None:
        """Take a picture, or sound, and its time in `clock.TICKS`."""
        self._branches[key].take_frame(frame, ticks)

    def flush(self) -> None:
        """Give out what is still in decoders, filters and encoders: the source has ended."""
        for branch in self._branches.values():
            branch.flush()


def _encoded(outputs: Sequence[OutputOptions]) -> list[OutputOptions]:
    """Return the outputs of what was never encoded: there is nothing that could be copied."""
    return [
        OutputOptions(
            x.video._replace(codec="h264") if x.video.codec == "copy" else x.video,
            x.audio._replace(codec="aac") if x.audio.codec == "copy" else x.audio,
        )
        for x in outputs
    ]


class _Branch:
    """What becomes of one stream of the source."""

    def __init__(self, owner: Pipeline, key: int, stream: SourceStream, number: int) -> None:
        self._owner = owner
        self._key = key
        self._stream = stream
        self._number = number
        self._copies: list[int] = []
        self._encoding: list[int] = []
        is_video = stream.kind is MediaKind.VIDEO
        for output, options in enumerate(owner._outputs):
            codec = options.video.codec if is_video else options.audio.codec
            if codec == "copy":
                self._copies.append(output)
            elif codec != "none" and not (is_video and number):
                # Of several pictures one is encoded, of several languages all.
                self._encoding.append(output)
        self._copier = Copier(stream, number) if self._copies else None
        self._decoder: Any = None
        self._failures = 0
        self._pictures: Any = None
        self._layouts = Layouts()
        self._encoders: dict[int, AudioEncoder] = {}

    @property
    def is_used(self) -> bool:
        return bool(self._copies or self._encoding)

    def feed(self, packet: AVPacket) -> None:
        if self._copier is not None:
            for made in self._copier.convert(packet):
                for output in self._copies:
                    self._owner._emit(output, made)
        self.decode(packet)

    def copy_neutral(self, made: Track | Packet) -> None:
        for output in self._copies:
            self._owner._emit(output, made)

    def reconfigure(self, stream: SourceStream) -> None:
        """Go on with another configuration of the same stream."""
        if self._decoder is not None:
            self._drain()
        self._stream = stream
        self._decoder = None

    def decode(self, packet: AVPacket) -> None:
        if not self._encoding:
            return
        if self._decoder is None:
            self._decoder = self._stream.open_decoder()
            self._decoder.thread_type = "AUTO"
        ticks = packet.dts if packet.dts is not None else packet.pts
        base = packet.time_base or self._stream.time_base
        if ticks is not None:
            shift = self._owner._clock.shift(self._key, ticks, base)
            # All that the decoder puts out is on the one clock then.
            packet.pts = None if packet.pts is None else round(packet.pts * base * TICKS) + shift
            packet.dts = None if packet.dts is None else round(packet.dts * base * TICKS) + shift
            packet.time_base = Fraction(1, TICKS)
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError as error:
            self._failed(error)
            return
        if frames:
            self._failures = 0
        self._take_all(frames)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= MAX_UNDECODABLE:
            why = f"its {self._stream.codec} cannot be decoded: {error}"
            raise RemoteError(why, is_permanent=True) from None

    def _take_all(self, frames: Sequence[Any]) -> None:
        for frame in frames:
            if frame.pts is None:
                continue
            base = frame.time_base or Fraction(1, TICKS)
            self.take_frame(frame, round(frame.pts * base * TICKS))

    def take_frame(self, frame: Any, ticks: int) -> None:
        if self._stream.kind is MediaKind.VIDEO:
            if self._pictures is None:
                self._pictures = _PictureOutputs(self._owner, self._stream, self._encoding)
            frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
            shape = getattr(self._decoder, "sample_aspect_ratio", None) or Fraction(1)
            self._pictures.push(frame, shape)
            return
        for piece in self._layouts.named(frame):
            for output in self._encoding:
                for made in self._sound_encoder(output, frame).push(piece, ticks):
                    self._owner._emit(output, made)

    def _sound_encoder(self, output: int, frame: Any) -> AudioEncoder:
        encoder = self._encoders.get(output)
        if encoder is None:
            encoder = self._encoders[output] = AudioEncoder(
                self._owner._outputs[output].audio,
                self._stream,
                self._number,
                frame.sample_rate,
                len(frame.layout.channels),
            )
        return encoder

    def _drain(self) -> None:
        try:
            frames = self._decoder.decode(None)
        except av.FFmpegError:
            return
        self._take_all(frames)

    def flush(self) -> None:
        if self._decoder is not None:
            self._drain()
        if self._pictures is not None:
            self._pictures.flush()
        for output, encoder in self._encoders.items():
            for made in encoder.flush():
                self._owner._emit(output, made)


class _PictureOutputs:
    """Pictures, deinterlaced once for all outputs that want the same, then scaled and encoded."""

    def __init__(self, owner: Pipeline, stream: SourceStream, outputs: Sequence[int]) -> None:
        groups: dict[str, list[_PictureOutput]] = {}
        for output in outputs:
            wanted = owner._outputs[output].video.deinterlace
            groups.setdefault(wanted, []).append(_PictureOutput(owner, stream, output))
        self._groups = [_Fields(owner, wanted, each) for wanted, each in groups.items()]

    def push(self, frame: Any, pixel: Fraction) -> None:
        for group in self._groups:
            group.push(frame, pixel)

    def flush(self) -> None:
        for group in self._groups:
            group.flush()


class _Fields:
    """Outputs that have the same done about fields: "auto", "always" or "never"."""

    def __init__(self, owner: Pipeline, wanted: str, outputs: Sequence[_PictureOutput]) -> None:
        self._owner = owner
        self._wanted = wanted
        self._outputs = outputs
        self._is_interlaced = wanted == "always"
        self._frames = Pictures(self._chain)

    def push(self, frame: Any, pixel: Fraction) -> None:
        if self._wanted == "auto" and not self._is_interlaced and frame.interlaced_frame:
            self._is_interlaced = True
            self._owner._note("the source is interlaced, and is deinterlaced")
        if self._is_interlaced:
            self._give(self._frames.push(frame, pixel), pixel)
        else:
            self._give((frame,), pixel)

    def flush(self) -> None:
        self._give(self._frames.flush(), Fraction(1))
        for output in self._outputs:
            output.flush()

    def _give(self, frames: Iterable[Any], pixel: Fraction) -> None:
        for frame in frames:
            for output in self._outputs:
                output.push(frame, pixel)

    def _chain(self, _shape: Shape) -> list[tuple[str, str]]:
        which = "all" if self._wanted == "always" else "interlaced"
        return [("bwdif", f"mode=send_frame:deint={which}")]


class _PictureOutput:
    """One output: its size and rate, and its encoder."""

    def __init__(self, owner: Pipeline, stream: SourceStream, output: int) -> None:
        self._owner = owner
        self._output = output
        self._options: VideoOptions = owner._outputs[output].video
        self._stream = stream
        self._frames = Pictures(self._chain)
        self._shape: tuple[int, int, Fraction] | None = None
        self._encoder: VideoEncoder | None = None

    def push(self, frame: Any, pixel: Fraction) -> None:
        for made in self._frames.push(frame, pixel):
            self._encode(made, pixel)

    def flush(self) -> None:
        for made in self._frames.flush():
            self._encode(made, Fraction(1))
        self._end_encoder()

    def _chain(self, shape: Shape) -> list[tuple[str, str]]:
        width, height, pixels, pixel = shape
        options = self._options
        size = size_for(options, width, height, pixel)
        chain: list[tuple[str, str]] = []
        if options.frame_rate:
            rate = Fraction(options.frame_rate).limit_denominator(1001)
            chain.append(("fps", f"fps={rate.numerator}/{rate.denominator}"))
        if size != (width, height) or pixels != PIXELS:
            chain.append(("scale", f"w={size[0]}:h={size[1]}:flags=bicubic"))
            chain.append(("format", f"pix_fmts={PIXELS}"))
        return chain

    def _encode(self, frame: Any, pixel: Fraction) -> None:
        options = self._options
        if options.width or options.height:
            pixel = Fraction(1)
        shape = (frame.width, frame.height, pixel)
        if shape != self._shape:
            self._end_encoder()
            self._shape = shape
            self._encoder = VideoEncoder(
                options,
                0,
                (frame.width, frame.height),
                pixel,
                options.frame_rate or self._stream.frame_rate,
                self._stream.bit_rate,
            )
        assert self._encoder is not None
        if frame.time_base != Fraction(1, TICKS):
            frame.pts = round(frame.pts * frame.time_base * TICKS)
        for made in self._encoder.push(frame):
            self._owner._emit(self._output, made)

    def _end_encoder(self) -> None:
        if self._encoder is not None:
            for made in self._encoder.flush():
                self._owner._emit(self._output, made)


def _made(
    kind: MediaKind, *, frame_rate: float = 0.0, sample_rate: int = 0, channels: int = 0
) -> SourceStream:
    """Describe what is made here and never was encoded."""
    base = Fraction(1, TICKS)
    return SourceStream(
        kind, "raw", b"", base, sample_rate, channels, 0, 0, frame_rate, 0, "", lambda: None
    )
