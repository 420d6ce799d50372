"""Which payload format a media description names, and how a track is described and sent.

RFC 3551 section 6 has the static payload types; the names are those of `a=rtpmap` (RFC 8866 6.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ntvmedia.codecs import g711
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Track
from ntvmedia.wire.rtp import (
    ac3,
    av1,
    h264,
    hevc,
    latm,
    mpeg4_generic,
    mpeg_audio,
    mpegts,
    opus,
    pcm,
    vp8,
    vp9,
)
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD
from ntvmedia.wire.rtp.payloads import Depacketiser, Packetiser

# Above any sample rate, and what leaves room for nonsense.
_HIGHEST_RATE: Final = 1_000_000
_MOST_CHANNELS: Final = 255


class _Encoding(NamedTuple):
    """One encoding name.

    Attributes:
        codec: None where the payload tells: MPEG-TS.
        make: Makes what reads its payloads.
        clock_rate: The only one; 0 where the description tells.
    """

    codec: Codec | None
    make: Callable[[Mapping[str, str], int, int, int], Depacketiser]
    clock_rate: int = 0


_ENCODINGS: Final[dict[str, _Encoding]] = {
    "H264": _Encoding(Codec.H264, h264.Depacketiser, VIDEO_CLOCK_RATE),
    "H265": _Encoding(Codec.HEVC, hevc.Depacketiser, VIDEO_CLOCK_RATE),
    "AV1": _Encoding(Codec.AV1, av1.Depacketiser, VIDEO_CLOCK_RATE),
    "VP9": _Encoding(Codec.VP9, vp9.Depacketiser, VIDEO_CLOCK_RATE),
    "VP8": _Encoding(Codec.VP8, vp8.Depacketiser, VIDEO_CLOCK_RATE),
    "MPEG4-GENERIC": _Encoding(Codec.AAC, mpeg4_generic.Depacketiser),
    "MP4A-LATM": _Encoding(Codec.AAC, latm.Depacketiser),
    "MPA": _Encoding(Codec.MP3, mpeg_audio.Depacketiser),
    "OPUS": _Encoding(Codec.OPUS, opus.Depacketiser, 48000),
    "MULTIOPUS": _Encoding(Codec.OPUS, opus.Depacketiser, 48000),
    "PCMA": _Encoding(Codec.PCM_ALAW, pcm.ALawDepacketiser),
    "PCMU": _Encoding(Codec.PCM_MULAW, pcm.MuLawDepacketiser),
    "L16": _Encoding(Codec.PCM_S16LE, pcm.L16Depacketiser),
    "AC3": _Encoding(Codec.AC3, ac3.Depacketiser),
    "EAC3": _Encoding(Codec.EAC3, ac3.Depacketiser),
    "MP2T": _Encoding(None, mpegts.Depacketiser, VIDEO_CLOCK_RATE),
}

# Name, clock rate and channels.
_STATIC: Final = {
    0: ("PCMU", 8000, 1),
    8: ("PCMA", 8000, 1),
    10: ("L16", 44100, 2),
    11: ("L16", 44100, 1),
    14: ("MPA", VIDEO_CLOCK_RATE, 0),
    33: ("MP2T", VIDEO_CLOCK_RATE, 0),
}


class Format(NamedTuple):
    """A payload format, as a media description names it.

    Attributes:
        payload_type: 0 to 127.
        encoding_name: In capitals: "H264".
        clock_rate: Ticks a second of the timestamps.
        channels: 0 where it is not told.
        parameters: Of `fmtp`, with names in small letters.
        codec: None for MPEG-TS, which holds several tracks.
    """

    payload_type: int
    encoding_name: str
    clock_rate: int
    channels: int
    parameters: dict[str, str]
    codec: Codec | None

    def depacketiser(self, number: int = 0) -> Depacketiser:
        """Make what reads the payloads.

        Args:
            number: Of the track, among those of its kind.

        Raises:
            PeerError: The parameters lack what this format needs: the track is refused.
        """
        make = _ENCODINGS[self.encoding_name].make
        return make(self.parameters, self.clock_rate, self.channels, number)


class Description(NamedTuple):
    """How a session's description names a track.

    Attributes:
        encoding_name: As registered: "H264", "mpeg4-generic".
        clock_rate: Ticks a second of the timestamps.
        channels: 0 where it is not told: video, and one channel of PCM.
        parameters: For `fmtp`, in order.
        payload_type: The static one; None where it is chosen, from 96 to 127.
    """

    encoding_name: str
    clock_rate: int
    channels: int
    parameters: dict[str, str]
    payload_type: int | None = None

    @property
    def rtpmap(self) -> str:
        """The value of `a=rtpmap` behind the payload type: "opus/48000/2"."""
        channels = f"/{self.channels}" if self.channels else ""
        return f"{self.encoding_name}/{self.clock_rate}{channels}"

    @property
    def fmtp(self) -> str:
        """The value of `a=fmtp` behind the payload type; empty where there is none to write."""
        return "; ".join(f"{name}={value}" for name, value in self.parameters.items())


def find_format(
    payload_type: int, rtpmap: str = "", parameters: Mapping[str, str] | None = None
) -> Format | None:
    """Return the format of a payload type in a media description.

    Args:
        payload_type: Of the `m=` line.
        rtpmap: What `a=rtpmap` has behind the payload type, "H264/90000"; empty where there is no
            such line, as is allowed for static types.
        parameters: Of `a=fmtp`; names in any case.

    Returns:
        None where the encoding is not known, or the clock rate is none.
    """
    if not 0 <= payload_type <= 127:
        return None
    name, rate, channels = _STATIC.get(payload_type, ("", 0, 0))
    if rtpmap.strip():
        name, _slash, rest = rtpmap.strip().partition("/")
        told_rate, _slash, told_channels = rest.partition("/")
        rate, channels = _number(told_rate), _number(told_channels)
    name = name.strip().upper()
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        return None
    rate = encoding.clock_rate or rate
    if not 0 < rate <= _HIGHEST_RATE or channels > _MOST_CHANNELS:
        return None
    named = {key.strip().lower(): value for key, value in (parameters or {}).items()}
    return Format(payload_type, name, rate, channels, named, encoding.codec)


def describe(track: Track) -> Description | None:
    """Return how a track is described; None where RTP has no payload format for its codec."""
    make = _DESCRIPTIONS.get(track.codec)
    return None if make is None else make(track)


def packetiser(track: Track, mtu: int = MAX_PAYLOAD) -> Packetiser | None:
    """Make what packs a track; None where RTP has no payload format for its codec.

    Args:
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is too small.
    """
    make = _PACKETISERS.get(track.codec)
    return None if make is None else make(track, mtu)


_PACKETISERS: Final[dict[Codec, Callable[[Track, int], Packetiser]]] = {
    Codec.H264: h264.Packetiser,
    Codec.HEVC: hevc.Packetiser,
    Codec.AV1: av1.Packetiser,
    Codec.VP9: vp9.Packetiser,
    Codec.VP8: vp8.Packetiser,
    Codec.AAC: mpeg4_generic.Packetiser,
    Codec.MP3: mpeg_audio.Packetiser,
    Codec.OPUS: opus.Packetiser,
    Codec.PCM_ALAW: pcm.Packetiser,
    Codec.PCM_MULAW: pcm.Packetiser,
    Codec.PCM_S16LE: pcm.Packetiser,
    Codec.AC3: ac3.Packetiser,
    Codec.EAC3: ac3.Packetiser,
}


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _video(
    name: str, parameters: Callable[[Track], dict[str, str]]
) -> Callable[[Track], Description]:
    return lambda track: Description(name, VIDEO_CLOCK_RATE, 0, parameters(track))


def _aac(track: Track) -> Description | None:
    # Without its configuration nobody can read it.
    if not track.config:
        return None
    parameters = mpeg4_generic.parameters(track)
    return Description("mpeg4-generic", track.clock_rate, max(1, track.channels), parameters)


def _opus(track: Track) -> Description:
    if track.channels > 2:
        return Description("multiopus", 48000, track.channels, opus.parameters(track))
    # Two, whatever it is (RFC 7587 section 7).
    return Description("opus", 48000, 2, opus.parameters(track))


def _g711(track: Track) -> Description:
    name, channels = g711.ENCODING_NAMES[track.codec], max(1, track.channels)
    if (track.clock_rate, channels) == (g711.SAMPLE_RATE, 1):
        return Description(name, track.clock_rate, 0, {}, g711.PAYLOAD_TYPES[track.codec])
    return Description(name, track.clock_rate, channels, {})


def _l16(track: Track) -> Description:
    static = {(44100, 2): 10, (44100, 1): 11}.get((track.clock_rate, track.channels))
    return Description("L16", track.clock_rate, max(1, track.channels), {}, static)


def _mpeg_audio(_track: Track) -> Description:
    return Description("MPA", VIDEO_CLOCK_RATE, 0, {}, 14)


def _ac3(track: Track) -> Description:
    return Description(track.codec.value, track.clock_rate, track.channels, {})


_DESCRIPTIONS: Final[dict[Codec, Callable[[Track], Description | None]]] = {
    Codec.H264: _video("H264", h264.parameters),
    Codec.HEVC: _video("H265", hevc.parameters),
    Codec.AV1: _video("AV1", av1.parameters),
    Codec.VP9: _video("VP9", vp9.parameters),
    Codec.VP8: _video("VP8", lambda _track: {}),
    Codec.AAC: _aac,
    Codec.MP3: _mpeg_audio,
    Codec.OPUS: _opus,
    Codec.PCM_ALAW: _g711,
    Codec.PCM_MULAW: _g711,
    Codec.PCM_S16LE: _l16,
    Codec.AC3: _ac3,
    Codec.EAC3: _ac3,
}
