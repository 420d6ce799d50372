"""What every part speaks of: packets, tracks, time bases and the names of streams."""

from ntvmedia.media.names import StreamKey
from ntvmedia.media.packets import Codec, MediaKind, Packet, Track
from ntvmedia.media.timebase import Epoch, from_milliseconds, to_milliseconds

__all__ = [
    "Codec",
    "Epoch",
    "MediaKind",
    "Packet",
    "StreamKey",
    "Track",
    "from_milliseconds",
    "to_milliseconds",
]
