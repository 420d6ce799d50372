"""What an answer of HTTP is, told by its first bytes; what its header says is only a hint.

Pure. Whoever names a stream ".ts" may send FLV, and many servers call everything
"application/octet-stream".
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.avtools.files import format_of
from ntvmedia.errors import RemoteError
from ntvmedia.formats.mpegts_demuxer import MAX_JUNK
from ntvmedia.formats.mpegts_packets import SYNC_BYTE
from ntvmedia.formats.mpegts_sync import PACKET_SIZES, find_sync

PROBE_BYTES: Final = MAX_JUNK
"""How much is looked at, most (E-SR-09): what the demuxer of MPEG-TS passes over too."""

# At these lengths it is looked at what came: so the answer depends only on the bytes.
_STEPS: Final = (16, 1024, 8192, PROBE_BYTES)

# Bytes of text that tell what it is.
_TELLING: Final = _STEPS[1]

# Sync bytes in a row: where anything may come before them, three are a chance of one in a hundred.
_SYNCS: Final = 5

# Media types of MPEG-TS: as registered, and as some servers write it.
_MPEGTS_TYPES: Final = frozenset({"video/mp2t", "video/mpeg", "video/vnd.dlna.mpeg-tts"})

# Byte order mark and white space before text.
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"

# What text begins with, in lower case, and what it is. The first that fits.
_TEXTS: Final = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<head", "an HTML page"),
    (b"<smoothstreamingmedia", "a manifest of Smooth Streaming, which is not supported"),
    (b"<mpd", "a manifest of DASH, which is not supported"),
    (b"<asx", "a playlist that is none of HLS"),
    (b"[playlist]", "a playlist that is none of HLS"),
    (b"[reference]", "a playlist that is none of HLS"),
    (b"ffconcat", "a playlist that is none of HLS"),
    (b"<", "an HTML page or XML"),
    (b"{", "JSON"),
)

_PRINTABLE: Final = frozenset((*b"\t\r\n", *range(32, 127)))


class Kind(Enum):
    """Who takes it."""

    FLV = "FLV"
    MPEGTS = "MPEG-TS"
    HLS = "HLS"
    OTHER = "another format, for FFmpeg"


class Detected(NamedTuple):
    """What it is.

    Attributes:
        kind: Who takes it.
        format: FFmpeg's name of its demuxer; empty for one that FFmpeg's child has to find.
    """

    kind: Kind
    format: str = ""


class Detector:
    """Keeps the beginning of a body until that tells what it is.

    Args:
        content_type: As the server has it.
    """

    def __init__(self, content_type: str = "") -> None:
        self._is_called_mpegts = content_type.partition(";")[0].strip().lower() in _MPEGTS_TYPES
        self._head = bytearray()
        self._step = 0

    @property
    def head(self) -> bytes:
        """All that came."""
        return bytes(self._head)

    def receive_data(self, data: bytes) -> Detected | None:
        """Take the next bytes.

        Returns:
            What it is; None while that is not known.

        Raises:
            RemoteError: It is no media, for good.
        """
        self._head += data
        while self._step < len(_STEPS) and len(self._head) >= _STEPS[self._step]:
            size = _STEPS[self._step]
            self._step += 1
            found = self._look(bytes(self._head[:size]), final=False)
            if found is not None:
                return found
        return Detected(Kind.OTHER) if self._step == len(_STEPS) else None

    def end(self) -> Detected:
        """Tell what it is; nothing more comes.

        Raises:
            RemoteError: As `receive_data`; or nothing came.
        """
        if not self._head:
            raise RemoteError("the answer is empty")
        return self._look(bytes(self._head), final=True) or Detected(Kind.OTHER)

    def _look(self, head: bytes, *, final: bool) -> Detected | None:
        text = head.lstrip(_BLANK)
        if text.startswith(b"#EXTM3U"):
            return Detected(Kind.HLS)
        if len(head) < _TELLING and not final and text.startswith(b"<?xml"):
            return None
        what = _text(text, is_all=final or len(head) >= _TELLING)
        if what:
            raise RemoteError(f"the answer is {what}", is_permanent=True)
        if head.startswith(b"FLV"):
            return Detected(Kind.FLV, "flv")
        if self._is_called_mpegts or head[0] == SYNC_BYTE:
            # Three are enough where they are expected.
            if find_sync(head, 0, final=final).size:
                return Detected(Kind.MPEGTS, "mpegts")
            if not final and len(head) < PROBE_BYTES:
                return None
        name = format_of(head)
        if name and name != "mpegts":
            return Detected(Kind.OTHER, name)
        return Detected(Kind.MPEGTS, "mpegts") if _has_packets(head) else None


def _text(text: bytes, *, is_all: bool) -> str:
    """Name what is text; empty where it is none.

    Args:
        text: Without blank space before.
        is_all: There is enough of it to tell by every character.
    """
    start = text[:64].lower()
    if start.startswith(b"<?xml"):
        inner = text[:512].lower()
        return next((name for word, name in _TEXTS if len(word) > 1 and word in inner), "XML")
    for word, name in _TEXTS:
        if start.startswith(word):
            return name
    return "text" if is_all and text and _PRINTABLE.issuperset(text) else ""


def _has_packets(head: bytes) -> bool:
    """Whether there are packets of MPEG-TS anywhere, so many in a row that it is no chance."""
    for size in PACKET_SIZES:
        span = size * (_SYNCS - 1)
        place = head.find(SYNC_BYTE)
        while 0 <= place < len(head) - span:
            if all(head[at] == SYNC_BYTE for at in range(place, place + span + 1, size)):
                return True
            place = head.find(SYNC_BYTE, place + 1)
    return False
