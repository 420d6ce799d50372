"""Encoders: pictures and sound into tracks and packets of ours. In the child process only."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.context import Flags
from av.video.frame import PictureType, VideoFrame

from ntvmedia.avtools.clock import TICKS
from ntvmedia.avtools.filters import PIXELS, Sound
from ntvmedia.avtools.reasons import in_words
from ntvmedia.avtools.tracks import Copier, SourceStream
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import AudioOptions, VideoOptions

_TIME_BASE: Final = Fraction(1, TICKS)

# Kilobits a second that suit a picture of so many pixels, 25 times a second: the middle of what
# the manual recommends for 404, 576, 720 and 1080 lines (P-804).
_SUITABLE: Final = ((0, 100), (290_880, 800), (589_824, 1150), (921_600, 1500), (2_073_600, 3000))
_USUAL_RATE: Final = 25.0

# HEVC needs so much of what H.264 does, for the same picture.
_HEVC_SHARE: Final = 0.6

_AUDIO_KBPS: Final = 64

# FFmpeg's encoders, best first; those of the hardware are there where it is.
_SOFTWARE: Final = {"h264": "libx264", "hevc": "libx265", "aac": "aac", "opus": "libopus"}
_HARDWARE: Final = {
    "h264": ("h264_nvenc", "h264_qsv", "h264_v4l2m2m"),
    "hevc": ("hevc_nvenc", "hevc_qsv", "hevc_v4l2m2m"),
}

_OPUS_RATES: Final = (48000, 24000, 16000, 12000, 8000)
_AAC_RATES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000
)  # fmt: skip

# Encoders count pictures to the next keyframe too: ours come by time, and never that late.
_NEVER: Final = 1 << 20


def suitable_kbps(codec: str, width: int, height: int, frame_rate: float) -> int:
    """Return a bit rate for a picture whose source tells none.

    Args:
        codec: "h264" or "hevc".
        width: In pixels.
        height: Likewise.
        frame_rate: Frames a second; 0 where it is not known.
    """
    pixels = width * height
    below, above = _SUITABLE[0], _SUITABLE[-1]
    for step in _SUITABLE:
        if step[0] <= pixels:
            below = step
        elif step[0] < above[0] or above[0] <= below[0]:
            above = step
    if above[0] <= below[0]:
        kbps = below[1] * pixels / below[0]
    else:
        share = (pixels - below[0]) / (above[0] - below[0])
        kbps = below[1] + share * (above[1] - below[1])
    # Twice the pictures need less than twice the bits: they differ less.
    kbps *= float(max(0.5, (frame_rate or _USUAL_RATE) / _USUAL_RATE) ** 0.7)
    return max(50, round(kbps * (_HEVC_SHARE if codec == "hevc" else 1.0)))


class VideoEncoder:
    """Encodes pictures of one size; keyframes come at whole multiples of a time.

    So all outputs of a source, and a restarted one, have them at the same pictures.

    Args:
        options: With a codec other than "copy" and "none".
        number: Of the track.
        size: Width and height.
        pixel: Width to height of a pixel.
        frame_rate: Frames a second, as far as is known.
        bit_rate: Of the source, in bits a second; 0 where it is not known.

    Raises:
        RemoteError: There is no encoder that works.

    Attributes:
        name: FFmpeg's name of the encoder.
    """

    def __init__(
        self,
        options: VideoOptions,
        number: int,
        size: tuple[int, int],
        pixel: Fraction,
        frame_rate: float,
        bit_rate: int,
    ) -> None:
        self._every = max(1, round(options.keyframe_seconds * TICKS))
        self._next_key: int | None = None
        self._last: int | None = None
        kbps = options.bitrate_kbps or bit_rate // 1000
        if not kbps:
            kbps = suitable_kbps(options.codec, *size, frame_rate)
        self.name, self._context = _open_video(options, size, pixel, frame_rate, kbps)
        stream = SourceStream(
            MediaKind.VIDEO,
            options.codec,
            bytes(self._context.extradata or b""),
            _TIME_BASE,
            0,
            0,
            *size,
            frame_rate,
            kbps * 1000,
            "",
            lambda: None,
        )
        self._copier = Copier(stream, number)

    def push(self, frame: VideoFrame) -> Iterator[Track | Packet]:
        """Give a picture, whose time is in `TICKS`."""
        pts = frame.pts or 0
        if self._last is not None and pts <= self._last:
            return  # two at a time: the second would be shown for no time
        self._last = pts
        frame.time_base = _TIME_BASE
        if self._next_key is None or not self._next_key - 2 * self._every < pts < self._next_key:
            frame.pict_type = PictureType.I
            self._next_key = (pts // self._every + 1) * self._every
        else:
            frame.pict_type = PictureType.NONE
        for packet in self._context.encode(frame):
            yield from self._copier.convert(packet)

    def flush(self) -> Iterator[Track | Packet]:
        """Yield what is still in it. It is of no more use."""
        for packet in self._context.encode(None):
            yield from self._copier.convert(packet)


class AudioEncoder:
    """Encodes the sound of one track.

    Args:
        options: With a codec other than "copy" and "none".
        stream: What is decoded.
        number: Of the track.
        sample_rate: Of what the decoder puts out, in hertz.
        channels: Likewise.

    Raises:
        RemoteError: There is no encoder that works.
    """

    def __init__(
        self,
        options: AudioOptions,
        stream: SourceStream,
        number: int,
        sample_rate: int,
        channels: int,
    ) -> None:
        count = min(options.channels or channels or 2, 2)
        rates = _OPUS_RATES if options.codec == "opus" else _AAC_RATES
        wanted = options.sample_rate or sample_rate or 48000
        rate = min(rates, key=lambda rate: (abs(rate - wanted), -rate))
        if options.codec == "opus" and not options.sample_rate:
            rate = _OPUS_RATES[0]
        layout = "mono" if count == 1 else "stereo"
        context: Any = _created(_SOFTWARE[options.codec])
        context.sample_rate = rate
        context.layout = layout
        context.format = "fltp" if options.codec == "aac" else "flt"
        context.bit_rate = 1000 * (options.bitrate_kbps or _AUDIO_KBPS * count)
        context.time_base = Fraction(1, rate)
        context.flags |= Flags.global_header
        _opened(context)
        size = context.frame_size or 1024
        self._sound = Sound(rate, layout, context.format.name, size)
        self._context = context
        made = SourceStream(
            MediaKind.AUDIO,
            options.codec,
            bytes(context.extradata or b""),
            Fraction(1, rate),
            rate,
            count,
            0,
            0,
            0.0,
            context.bit_rate,
            stream.language,
            lambda: None,
        )
        self._copier = Copier(made, number)

    def push(self, frame: Any, ticks: int) -> Iterator[Track | Packet]:
        """Give decoded sound and its time, in `TICKS`."""
        for piece in self._sound.push(frame, ticks):
            yield from self._encode(piece)

    def flush(self) -> Iterator[Track | Packet]:
        """Yield what is still in it. It is of no more use."""
        for piece in self._sound.flush():
            yield from self._encode(piece)
        yield from self._encode(None)

    def _encode(self, piece: Any) -> Iterator[Track | Packet]:
        for packet in self._context.encode(piece):
            yield from self._copier.convert(packet)


def _open_video(
    options: VideoOptions, size: tuple[int, int], pixel: Fraction, frame_rate: float, kbps: int
) -> tuple[str, Any]:
    names: tuple[str, ...] = ()
    if options.encoder != "software":
        names += tuple(x for x in _HARDWARE[options.codec] if x in av.codecs_available)
    if options.encoder != "hardware":
        names += (_SOFTWARE[options.codec],)
    problem = RemoteError("this machine has no hardware that encodes it", is_permanent=True)
    for name in names:
        try:
            return name, _video_context(name, options, size, pixel, frame_rate, kbps)
        except RemoteError as error:
            problem = error
    raise problem


def _video_context(
    name: str,
    options: VideoOptions,
    size: tuple[int, int],
    pixel: Fraction,
    frame_rate: float,
    kbps: int,
) -> Any:
    context: Any = _created(name)
    context.width, context.height = size
    context.pix_fmt = PIXELS
    context.time_base = _TIME_BASE
    if frame_rate:
        context.framerate = Fraction(frame_rate).limit_denominator(1001)
    if pixel != 1:
        context.sample_aspect_ratio = pixel
    context.bit_rate = 1000 * kbps
    context.gop_size = _NEVER
    context.max_b_frames = 0
    context.flags |= Flags.global_header | Flags.closed_gop
    chosen = {"maxrate": str(1200 * kbps), "bufsize": str(2000 * kbps)}
    if name == "libx264":
        # Pictures are cut by time, so a change of scene is no reason for another keyframe.
        chosen |= {"preset": options.preset, "sc_threshold": "0", "forced-idr": "1"}
    elif name == "libx265":
        rules = "scenecut=0:open-gop=0:log-level=error:repeat-headers=0"
        chosen |= {"preset": options.preset, "forced-idr": "1", "x265-params": rules}
    elif name.endswith("_nvenc"):
        chosen |= {"forced-idr": "1", "no-scenecut": "1"}
    elif name.endswith("_qsv"):
        chosen |= {"forced_idr": "1"}
    context.options = chosen
    _opened(context)
    return context


def _created(name: str) -> Any:
    try:
        return av.CodecContext.create(name, "w")
    except (av.FFmpegError, ValueError):
        raise RemoteError(f"there is no encoder {name} here", is_permanent=True) from None


def _opened(context: Any) -> None:
    try:
        context.open()
    except av.FFmpegError as error:
        why = f"the encoder {context.name} does not take this: {in_words(error)}"
        raise RemoteError(why, is_permanent=True) from None
    except ValueError as error:
        why = f"the encoder {context.name} does not take this: {error}"
        raise RemoteError(why, is_permanent=True) from None
