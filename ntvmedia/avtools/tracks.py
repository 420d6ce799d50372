"""Between FFmpeg's packets and ours, both ways. In the child process only.

FFmpeg's packets have any time base, and H.264 with start codes or with lengths; ours are as
`media.packets` says. What is known of an elementary stream is a `SourceStream`, whether FFmpeg's
demuxers found it or another protocol brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, NamedTuple, TypeAlias

import av
import av.packet

from ntvmedia.codecs import aac, ac3, av1, flac, g711, h264, hevc, mpegaudio, nal, vp9
from ntvmedia.codecs.description import describe
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats import flv_tracks
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, MediaKind, Packet, Track

AVPacket: TypeAlias = "av.packet.Packet[Any]"
"""A packet of FFmpeg's."""

MAX_STREAMS_OF_A_KIND: Final = 8
"""Tracks of one kind that are taken from a source; television has four languages at times."""

# What a broken stream may have in a row before it is given up.
MAX_BROKEN: Final = 1000

# FFmpeg's names of codecs that ours have other names for.
_NAMES: Final = {"mp2": "mp3", "mp1": "mp3", "flv": "flv1"}

# In the neutral form these are length-prefixed NAL units.
_NAL_CODECS: Final = {Codec.H264: h264, Codec.HEVC: hevc}

# The first byte of avcC and hvcC: configurationVersion.
_WITH_LENGTHS: Final = 1

# Pictures are put in order again by 16 at most (H.264 section A.3.1).
_MOST_EARLY: Final = 17
_USUAL_STEP: Final = Fraction(1, 25)

_AAC_SAMPLES: Final = 1024

# FFmpeg's own decoder of AV1 needs hardware.
_DECODERS: Final = {Codec.AV1: "libdav1d"}

# Types of parameter sets in the order of the configuration record's, and of delimiters.
_SETS: Final = {Codec.H264: (7, 8), Codec.HEVC: (32, 33, 34)}
_DELIMITER: Final = {Codec.H264: 9, Codec.HEVC: 35}

_G711_RATE: Final = g711.SAMPLE_RATE


class SourceStream(NamedTuple):
    """What is known of an elementary stream before it is decoded.

    Attributes:
        kind: Video or audio.
        codec: FFmpeg's name of it: "wmv3", "h264".
        config: FFmpeg's extradata, or our configuration: it takes both.
        time_base: Seconds of a tick of its packets.
        sample_rate: Of audio, in hertz; 0 where it is not known.
        channels: Of audio.
        width: Of video; 0 where it is not known.
        height: Likewise.
        frame_rate: Frames a second; 0 where it is not known.
        bit_rate: Bits a second; 0 where it is not known.
        language: BCP 47 or ISO 639, or empty.
        is_default: Comes first among its kind.
        open_decoder: Returns what decodes it.
    """

    kind: MediaKind
    codec: str
    config: bytes
    time_base: Fraction
    sample_rate: int
    channels: int
    width: int
    height: int
    frame_rate: float
    bit_rate: int
    language: str
    open_decoder: Callable[[], Any]


def stream_of(stream: Any) -> SourceStream | None:
    """Describe what one of FFmpeg's demuxers found.

    Args:
        stream: An `av.stream.Stream`.

    Returns:
        None for what is neither video nor audio, for a picture of a cover, and where no more is
        known than that there is something.
    """
    context = stream.codec_context
    if context is None or stream.type not in ("video", "audio"):
        return None
    if stream.disposition & av.stream.Disposition.attached_pic:
        return None
    is_video = stream.type == "video"
    language = (stream.metadata.get("language") or "").strip()
    return SourceStream(
        MediaKind.VIDEO if is_video else MediaKind.AUDIO,
        context.codec.canonical_name,
        bytes(context.extradata or b""),
        stream.time_base or Fraction(1, 1000),
        0 if is_video else context.sample_rate or 0,
        0 if is_video else context.channels or 0,
        context.width or 0 if is_video else 0,
        context.height or 0 if is_video else 0,
        float(stream.average_rate or 0) if is_video else 0.0,
        context.bit_rate or 0,
        "" if language == "und" else language,
        lambda: context,
    )


def stream_of_track(track: Track) -> SourceStream:
    """Describe one of our tracks.

    Raises:
        RemoteError: FFmpeg has no decoder for it.
    """
    known = describe(track)
    rate = known.sample_rate or (track.clock_rate if track.kind is MediaKind.AUDIO else 0)

    def decoder() -> Any:
        return _decoder(track, rate, track.channels or known.channels)

    return SourceStream(
        track.kind,
        track.codec.value,
        track.config,
        Fraction(1, track.clock_rate),
        rate,
        track.channels or known.channels,
        known.width,
        known.height,
        known.frame_rate or 0.0,
        0,
        track.language,
        decoder,
    )


def _decoder(track: Track, rate: int, channels: int) -> Any:
    try:
        context: Any = av.CodecContext.create(_DECODERS.get(track.codec, track.codec.value), "r")
    except (av.FFmpegError, ValueError):
        why = f"{track.codec.value} cannot be decoded here"
        raise RemoteError(why, is_permanent=True) from None
    if track.config:
        config = track.config
        context.extradata = flac.streaminfo_block(config) if track.codec is Codec.FLAC else config
    if track.kind is MediaKind.AUDIO:
        context.sample_rate = rate
        context.layout = "mono" if channels == 1 else "stereo"
    return context


def av_packet(packet: Packet) -> AVPacket:
    """Make a packet for a decoder of `stream_of_track`."""
    made: AVPacket = av.packet.Packet(packet.payload)
    made.time_base = Fraction(1, packet.track.clock_rate)
    made.pts = packet.pts
    made.dts = packet.dts
    return made


def codec_of(stream: SourceStream) -> Codec | None:
    """Return our name of a stream's codec; None where no output carries it."""
    try:
        return Codec(_NAMES.get(stream.codec, stream.codec))
    except ValueError:
        return None


class Copier:
    """Turns the packets of one stream into ours, without decoding.

    Args:
        stream: Whose.
        number: Of the track among its kind.

    Raises:
        RemoteError: No track of ours can carry it.
    """

    def __init__(self, stream: SourceStream, number: int) -> None:
        codec = codec_of(stream)
        if codec is None:
            raise RemoteError(
                f"its {stream.kind.value} is {stream.codec}, which nothing here can carry: set "
                f"{stream.kind.value}.codec to have it encoded anew",
                is_permanent=True,
            )
        self._stream = stream
        self._codec = codec
        self._number = number
        self._track: Track | None = None
        self._last: int | None = None
        # The first packets of Matroska have no decode time; it is told by the first that has one.
        self._early: list[AVPacket] = []
        self._broken = 0
        self._length_size = 0
        # Parameter sets by type, where they come with the pictures.
        self._sets: dict[int, tuple[bytes, ...]] = {}
        self._rate = VIDEO_CLOCK_RATE
        if stream.config:
            try:
                self._configure(stream.config)
            except PeerError:
                # It may come with the packets.
                self._track = None

    def convert(self, packet: AVPacket) -> list[Track | Packet]:
        """Return the packet in our form, with its track before it where that is new.

        Nothing for one without use: without a time, or before a configuration. Those at the start
        whose decode time is known by a later one come with that.

        Raises:
            RemoteError: Nothing that came for long was of use.
        """
        is_early = packet.dts is None and self._last is None and packet.pts is not None
        if is_early and self._stream.kind is MediaKind.VIDEO and len(self._early) < _MOST_EARLY:
            self._early.append(packet)
            return []
        made: list[Track | Packet] = []
        if self._early:
            base = packet.time_base or self._stream.time_base
            step = round(packet.duration or _USUAL_STEP / base)
            early, self._early = self._early, []
            for place, waiting in enumerate(early):
                if packet.dts is not None:
                    waiting.dts = packet.dts - (len(early) - place) * step
                made += self._convert(waiting)
        return [*made, *self._convert(packet)]

    def _convert(self, packet: AVPacket) -> list[Track | Packet]:
        data = bytes(packet)
        if not data:
            return []
        before = self._track
        try:
            payloads = self._read(data, packet)
        except PeerError as error:
            self._broken += 1
            if self._broken > MAX_BROKEN:
                raise RemoteError(f"its {self._stream.codec} is broken: {error.args[0]}") from None
            return []
        track = self._track
        if track is None or not payloads:
            return []
        self._broken = 0
        times = self._times(packet, track)
        if times is None:
            return []
        dts, pts = times
        made: list[Track | Packet] = []
        if track is not before or self._last is None:
            made.append(track)
        is_video = track.kind is MediaKind.VIDEO
        for place, payload in enumerate(payloads):  # more than one are blocks of an ADTS frame
            step = place * _AAC_SAMPLES
            is_keyframe = bool(packet.is_keyframe) if is_video else True
            if is_video and self._codec in _NAL_CODECS:
                # A recovery point is marked as a keyframe too: decoding may begin there.
                is_keyframe = is_keyframe or _NAL_CODECS[self._codec].is_keyframe(payload)
            made.append(Packet(track, dts + step, pts + step, is_keyframe, payload))
            self._last = dts + step
        return made

    def _times(self, packet: AVPacket, track: Track) -> tuple[int, int] | None:
        """Return when it is decoded and shown, in ticks of the track; None where nobody knows."""
        scale = (packet.time_base or self._stream.time_base) * track.clock_rate
        dts, pts = packet.dts, packet.pts
        if dts is not None:
            ticks = round(dts * scale)
        elif self._last is not None:
            ticks = self._last + max(1, round((packet.duration or 0) * scale))
            if pts is not None:
                ticks = max(self._last + 1, min(ticks, round(pts * scale)))
        elif pts is not None:
            ticks = round(pts * scale)
        else:
            return None
        return ticks, ticks if pts is None else round(pts * scale)

    def _configure(self, config: bytes) -> None:
        """Take what the container says.

        Raises:
            PeerError: It is of no use.
        """
        codec, number = self._codec, self._number
        track: Track | None
        if codec in _NAL_CODECS:
            if config[0] == _WITH_LENGTHS:
                track, self._length_size = flv_tracks.video_track(codec, number, config)
            else:
                track = None
                self._take_sets(nal.split_annexb(config))
        elif codec is Codec.AAC:
            track = flv_tracks.aac_track(number, config)
        elif codec is Codec.OPUS:
            track = flv_tracks.opus_track(number, config, self._stream.channels)
        elif codec is Codec.FLAC:
            track = flv_tracks.flac_track(number, config)
        elif codec in (Codec.AV1, Codec.VVC):
            track = Track(codec, number, config=config)
        else:
            track = None
        if track is not None:
            self._keep(track)

    def _keep(self, track: Track) -> None:
        language = self._stream.language
        if language and not track.language:
            track = replace(track, language=language)
        if track != self._track:
            self._track = track

    def _read(self, data: bytes, packet: AVPacket) -> list[bytes]:
        """Return the payloads, and see to the track."""
        codec, number, stream = self._codec, self._number, self._stream
        if codec in _NAL_CODECS:
            return self._read_units(data)
        if codec is Codec.AAC:
            return self._read_aac(data)
        if codec is Codec.AV1:
            data = av1.normalise(data)
            if av1.has_parameter_sets(data):
                config = av1.configuration_from_frame(data)
                if config:
                    self._keep(Track(codec, number, config=config))
        elif codec is Codec.VP9:
            if packet.is_keyframe:
                config = vp9.configuration_from_frame(data, stream.frame_rate)
                self._keep(Track(codec, number, config=config))
        elif codec in (Codec.AC3, Codec.EAC3):
            self._keep(flv_tracks.ac3_track(number, ac3.split_syncframes(data)))
        elif codec is Codec.MP3:
            self._keep(flv_tracks.mp3_track(number, mpegaudio.parse_header(data)))
        elif self._track is None:
            if codec is Codec.OPUS:
                self._keep(flv_tracks.opus_track(number, b"", stream.channels))
            elif codec.kind is MediaKind.VIDEO:
                self._keep(Track(codec, number))
            elif codec in (Codec.PCM_ALAW, Codec.PCM_MULAW):
                rate = stream.sample_rate or _G711_RATE
                self._keep(Track(codec, number, clock_rate=rate, channels=stream.channels or 1))
            elif stream.sample_rate:
                rate = stream.sample_rate
                self._keep(Track(codec, number, clock_rate=rate, channels=stream.channels))
        return [data]

    def _read_aac(self, data: bytes) -> list[bytes]:
        if not self._stream.config and data[0] == 0xFF and len(data) > 1 and data[1] & 0xF6 == 0xF0:
            header = aac.parse_adts(data)
            config = aac.build_audio_specific_config(aac.config_from_adts(data))
            self._keep(flv_tracks.aac_track(self._number, config))
            if header.blocks == 1:
                return [data[header.header_length :]]
            return aac.split_adts(data)
        return [data]

    def _read_units(self, data: bytes) -> list[bytes]:
        if self._length_size:
            return [payload] if (payload := nal.normalise(data, self._length_size)) else []
        units = nal.split_annexb(data)
        self._take_sets(units)
        dropped = (*_SETS[self._codec], _DELIMITER[self._codec])
        rest = [unit for unit in units if self._type(unit) not in dropped]
        return [nal.join_length_prefixed(rest)] if rest else []

    def _type(self, unit: bytes) -> int:
        return unit[0] & 0x1F if self._codec is Codec.H264 else unit[0] >> 1 & 0x3F

    def _take_sets(self, units: list[bytes]) -> None:
        found: dict[int, list[bytes]] = {}
        for unit in units:
            kind = self._type(unit)
            if kind in _SETS[self._codec]:
                found.setdefault(kind, []).append(unit)
        if not found:
            return
        known = {**self._sets, **{kind: tuple(dict.fromkeys(x)) for kind, x in found.items()}}
        if known == self._sets:
            return
        lists = [known.get(kind, ()) for kind in _SETS[self._codec]]
        if self._codec is Codec.H264:
            config = h264.build_configuration(*lists) if all(lists) else b""
        else:
            config = hevc.build_configuration(*lists) if all(lists) else b""
        self._sets = known
        if config:
            self._keep(Track(self._codec, self._number, config=config))
