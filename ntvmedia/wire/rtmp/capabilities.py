"""What the ends of a connection say that they can do with Enhanced RTMP.

"E-RTMP v2" is Veovera's "Enhanced RTMP v2", section "Enhancing NetConnection connect Command".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from ntvmedia.formats.amf0 import Value
from ntvmedia.formats.flv_codes import AUDIO_FOURCCS, VIDEO_FOURCCS
from ntvmedia.media import Codec


class CapsEx(IntFlag):
    """Bits of the property `capsEx` (E-RTMP v2, enum CapsExMask)."""

    RECONNECT = 1
    MULTITRACK = 2
    MOD_EX = 4
    TIMESTAMP_NANO_OFFSET = 8


class FourCCInfo(IntFlag):
    """What can be done with one codec (E-RTMP v2, enum FourCcInfoMask)."""

    CAN_DECODE = 1
    CAN_ENCODE = 2
    CAN_FORWARD = 4


# The nanosecond offsets of ModEx are read, but times are kept in milliseconds: not announced.
OUR_CAPS_EX: Final = CapsEx.RECONNECT | CapsEx.MULTITRACK | CapsEx.MOD_EX

LEGACY_CODECS: Final = frozenset(
    {
        Codec.H264,
        Codec.FLV1,
        Codec.VP6F,
        Codec.AAC,
        Codec.MP3,
        Codec.PCM_ALAW,
        Codec.PCM_MULAW,
        Codec.PCM_S16LE,
        Codec.PCM_U8,
        Codec.SPEEX,
        Codec.NELLYMOSER,
    }
)
"""What every RTMP client is taken to know: the numbered codecs of FLV 10.1 E.4.2.1, E.4.3.1."""

_VIDEO: Final = {code.decode(): codec for codec, code in VIDEO_FOURCCS.items()}
_AUDIO: Final = {code.decode(): codec for codec, code in AUDIO_FOURCCS.items()}
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a peer announced; the default is a client from before Enhanced RTMP.

    Attributes:
        is_enhanced: It announced any of the properties.
        caps_ex: Bits of `CapsEx`.
        codecs: What it can take, beyond `LEGACY_CODECS`.
    """

    is_enhanced: bool = False
    caps_ex: int = 0
    codecs: frozenset[Codec] = frozenset()

    @property
    def can_reconnect(self) -> bool:
        """A reconnect request may be sent to it."""
        return bool(self.caps_ex & CapsEx.RECONNECT)

    @property
    def has_multitrack(self) -> bool:
        """It understands messages with track numbers."""
        return bool(self.caps_ex & CapsEx.MULTITRACK)

    def takes(self, codec: Codec) -> bool:
        """Whether it can decode, or pass on, this codec."""
        return codec in LEGACY_CODECS or codec in self.codecs or codec is Codec.AMF0


def parse_capabilities(properties: Mapping[str, Value]) -> Capabilities:
    """Read the Enhanced RTMP properties of a command object.

    Never fails: what has the wrong type counts as not there, and unknown codecs are skipped.
    """
    caps_ex = properties.get("capsEx")
    four_ccs = _names(properties.get("fourCcList"))
    video = _usable(properties.get("videoFourCcInfoMap"))
    audio = _usable(properties.get("audioFourCcInfoMap"))
    if caps_ex is None and four_ccs is None and video is None and audio is None:
        return Capabilities()
    codecs = _codecs(four_ccs or (), _VIDEO) | _codecs(four_ccs or (), _AUDIO)
    codecs |= _codecs(video or (), _VIDEO) | _codecs(audio or (), _AUDIO)
    return Capabilities(is_enhanced=True, caps_ex=_flags(caps_ex), codecs=frozenset(codecs))


def announcement(info: FourCCInfo) -> dict[str, Value]:
    """Return the properties by which we announce ourselves, each codec with the same flags."""
    video = {name: float(info) for name in _VIDEO}
    audio = {name: float(info) for name in _AUDIO}
    return {
        "fourCcList": [*video, *audio],
        "videoFourCcInfoMap": dict[str, Value](video),
        "audioFourCcInfoMap": dict[str, Value](audio),
        "capsEx": float(OUR_CAPS_EX),
    }


def _names(value: Value) -> list[str] | None:
    """Read a list of FourCCs, which some send as an object with numbers for keys, or as text."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [name for name in value.values() if isinstance(name, str)]
    if isinstance(value, list):
        return [name for name in value if isinstance(name, str)]
    return None


def _usable(value: Value) -> list[str] | None:
    """List the FourCCs of an info map that a stream may be sent in."""
    if not isinstance(value, Mapping):
        return None
    wanted = int(FourCCInfo.CAN_DECODE | FourCCInfo.CAN_FORWARD)
    return [name for name, flags in value.items() if _flags(flags) & wanted]


def _codecs(names: Iterable[str], known: Mapping[str, Codec]) -> set[Codec]:
    found = set()
    for name in names:
        if name == _ANY:
            return set(known.values())
        if name in known:
            found.add(known[name])
    return found


def _flags(value: Value) -> int:
    """Read a number of bits; a comparison with NaN is false, so that it is none."""
    if isinstance(value, int | float) and 0 <= value <= 0xFFFFFFFF:
        return int(value)
    return 0
