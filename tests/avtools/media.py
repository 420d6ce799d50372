"""Media for tests, made by FFmpeg's libraries in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

from ntvmedia.avtools.tracks import stream_of
from ntvmedia.avtools.transcoding import Pipeline
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.relaying import OutputOptions

RATE = 25
SAMPLE_RATE = 48000


def picture(number: int, size: tuple[int, int], *, interlaced: bool = False) -> Any:
    """Make a picture that differs from all others: grey, with a bar that moves."""
    width, height = size
    frame: Any = av.VideoFrame(width, height, "yuv420p")
    for place, plane in enumerate(frame.planes):
        if place:
            plane.update(bytes((128,)) * plane.buffer_size)
            continue
        row = bytearray(bytes((60,)) * plane.line_size)
        left = number * 4 % (width - 8)
        row[left : left + 8] = bytes((220,)) * 8
        rows = [bytes(row)] * plane.height
        if interlaced:
            rows[1::2] = [bytes(row[4:] + row[:4])] * len(rows[1::2])
        plane.update(b"".join(rows))
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame


def silence(first: int, samples: int = 1024, layout: str = "stereo") -> Any:
    """Make sound that has nothing to hear."""
    frame: Any = av.AudioFrame("fltp", layout, samples)
    frame.sample_rate = SAMPLE_RATE
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts, frame.time_base = first, Fraction(1, SAMPLE_RATE)
    return frame


def movie(
    form: str,
    *,
    video: str = "libx264",
    audio: str = "aac",
    seconds: float = 2.0,
    size: tuple[int, int] = (160, 120),
    layout: str = "stereo",
    languages: tuple[str, ...] = ("",),
    options: dict[str, str] | None = None,
    interlaced: bool = False,
) -> bytes:
    """Encode a movie.

    Args:
        form: FFmpeg's name of the container.
        video: Name of the encoder, or empty for none.
        audio: Likewise.
        seconds: How long.
        size: Width and height.
        layout: Of the sound.
        languages: One track of sound for each.
        options: Of the video's encoder.
        interlaced: The two fields of a picture are of two moments.
    """
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        made: Any = None
        if video:
            made = container.add_stream(video, rate=RATE, options=options or {"g": "25"})
            made.width, made.height, made.pix_fmt = *size, "yuv420p"
        sounds: list[Any] = []
        for language in languages if audio else ():
            sound: Any = container.add_stream(audio, rate=SAMPLE_RATE)
            sound.layout = layout
            sound.bit_rate = 96_000 * len(sound.layout.channels)
            if language:
                sound.metadata["language"] = language
            sounds.append(sound)
        count = int(seconds * RATE)
        first = 0
        for number in range(count):
            if made is not None:
                container.mux(made.encode(picture(number, size, interlaced=interlaced)))
            while first * RATE < (number + 1) * SAMPLE_RATE:
                for sound in sounds:
                    piece = silence(first, sound.codec_context.frame_size or 1024, layout)
                    container.mux(sound.encode(piece))
                first += sounds[0].codec_context.frame_size or 1024 if sounds else SAMPLE_RATE
        for stream in (made, *sounds):
            if stream is not None:
                container.mux(stream.encode(None))
    return out.getvalue()


class Made:
    """What a pipeline put out."""

    def __init__(self) -> None:
        self.tracks: dict[int, list[Track]] = {}
        self.packets: dict[int, list[Packet]] = {}
        self.notes: list[str] = []

    def emit(self, output: int, made: Track | Packet) -> None:
        """Take it."""
        if isinstance(made, Track):
            self.tracks.setdefault(output, []).append(made)
        else:
            self.packets.setdefault(output, []).append(made)

    def of(self, output: int, kind: str) -> list[Packet]:
        """Return the packets of a kind."""
        return [x for x in self.packets.get(output, []) if x.track.kind == kind]

    def codecs(self, output: int) -> list[str]:
        """Return the codecs of the tracks, in the order of their coming."""
        return [x.codec.value for x in self.tracks.get(output, [])]


def run(
    data: bytes, *outputs: OutputOptions, change: Callable[[Any], Any] = lambda packet: packet
) -> Made:
    """Give a movie to a pipeline, to its end.

    Args:
        data: The movie.
        outputs: What is made of it.
        change: Called with each packet; returns it or another, or None for none.
    """
    made = Made()
    pipeline = Pipeline(outputs, made.emit, made.notes.append)
    opened: Any = av.open(io.BytesIO(data))
    with opened as container:
        for stream in container.streams:
            known = stream_of(stream)
            if known is not None:
                pipeline.add_stream(stream.index, known)
        for packet in container.demux():
            if packet.size and (packet := change(packet)) is not None:
                pipeline.feed(packet.stream_index, packet)
    pipeline.flush()
    return made
