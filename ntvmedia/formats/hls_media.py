"""Media segments of HLS, of whatever format they are, taken apart into tracks and packets.

RFC 8216 section 3 has the formats: MPEG-TS, fragmented MP4 and packed audio. Nothing in a playlist
tells which one it is, and names of files lie: the first bytes do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

from ntvmedia.codecs import aac, ac3, mpegaudio
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats import fmp4_demuxer, mpegts_demuxer, packed_audio
from ntvmedia.formats.mpegts_packets import PACKET_SIZE
from ntvmedia.formats.mpegts_sync import find_sync
from ntvmedia.media.packets import Packet, Track

Kind: TypeAlias = Literal["", "mpegts", "mp4", "packed_audio"]
Event: TypeAlias = Track | Packet

MAX_DISGUISE: Final = mpegts_demuxer.MAX_JUNK
"""Bytes before MPEG-TS: some sites put a whole picture there, so that hosts of pictures take the
segment. Players find the packets behind it."""

_FORMATS: Final = "RFC 8216 section 3"

# How many bytes are looked at, one after the other, until they tell: at places that are always the
# same, so that the answer depends only on the bytes.
_STEPS: Final = (16, 1024, MAX_DISGUISE)

# What else comes instead of segments, by its first bytes without space before.
_LOOKS: Final = (
    (b"#EXTM3U", "a playlist"),
    (b"WEBVTT", "WebVTT subtitles"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "XML"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"\x1aE\xdf\xa3", "WebM"),
    (b"FLV\x01", "FLV"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
)
_SPACE: Final = b"\xef\xbb\xbf \t\r\n"

_Demuxer: TypeAlias = mpegts_demuxer.Demuxer | fmp4_demuxer.Demuxer | packed_audio.Demuxer


def is_media(head: bytes, is_all: bool) -> bool:
    """Whether the first bytes of a segment tell that it is one that can be read.

    Args:
        head: From its beginning.
        is_all: There are no more.

    Returns:
        False where more bytes are needed to tell; at most `MAX_DISGUISE`.

    Raises:
        PeerError: It is no media, as far as they tell; or empty.
    """
    if is_all and not head:
        raise PeerError("the segment is empty", reference=_FORMATS, offset=0)
    return bool(_recognised(head, 0, final=is_all)[0])


class SegmentDemuxer:
    """Turn the segments of one media playlist into `Track` and `Packet` events.

    For each segment call `init_section` if it has another one than the segment before, `begin`,
    `receive_data` with bytes as they come, and then take all of `events`, and at last `end`.
    Before a discontinuity and behind the last segment, take `flush` too. What comes out depends
    only on the bytes and on where segments end, never on how they were cut.

    Times are those of the segments, in the clocks of the tracks; those of MPEG-TS and of packed
    audio do not wrap within a run, which goes to the next `flush`. Tracks are numbered as the
    demuxer of the format has them; they are announced again in every run.

    Attributes:
        kind: Of the present segment; "" until it is known. It seldom changes, even from run to
            run, but may.
        has_times: The times of this run were told, and not only counted from 0 by us: those of
            packed audio may not be.
    """

    def __init__(self) -> None:
        self.kind: Kind = ""
        self._damaged = 0
        self._unread: frozenset[str] = frozenset()
        self._init = b""
        # Of the present run.
        self._demuxer: _Demuxer | None = None
        self._wants_init = False
        self._is_open = False
        # The beginning of a segment, until it tells what it is; how far that was looked at.
        self._head = bytearray()
        self._is_known = False
        self._step = 0

    @property
    def damaged(self) -> int:
        """Places where something was left out, as far as can be told."""
        return self._damaged + (0 if self._demuxer is None else self._demuxer.damaged)

    @property
    def unread(self) -> frozenset[str]:
        """What pictures and sound cannot be read: "MPEG-2 video" of MPEG-TS, "mp4v" of MP4."""
        return self._unread | _unread_of(self._demuxer)

    @property
    def has_times(self) -> bool:
        demuxer = self._demuxer
        return not isinstance(demuxer, packed_audio.Demuxer) or demuxer.has_times

    @property
    def buffered(self) -> int:
        """How many bytes wait for more."""
        return len(self._head) + (0 if self._demuxer is None else self._demuxer.buffered)

    def init_section(self, data: bytes) -> None:
        """Take the Media Initialization Section of the segments to come (RFC 8216 4.3.2.5).

        It stays in force, also behind a discontinuity.

        Raises:
            PeerError: It is none.
        """
        if data and _kind_of(data, final=True) not in ("mp4", "mpegts"):
            raise PeerError(
                f"the initialization section is neither MP4 nor MPEG-TS{_looks_like(data)}",
                reference=_FORMATS,
                offset=0,
            )
        self._init = data
        self._wants_init = True

    def begin(self, *, discontinuity: bool = False) -> None:
        """Begin a segment.

        Args:
            discontinuity: Nothing before goes on in it. What was before must have been flushed.

        Raises:
            UsageError: The segment before has not ended, or the run has not.
        """
        if self._is_open or (discontinuity and self._demuxer is not None):
            raise UsageError("end the segment first, and flush the run before a discontinuity")
        self._is_open, self._is_known = True, False
        self._step = 0

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the segment. Nothing is parsed yet."""
        if not self._is_open:
            raise UsageError("begin a segment first")
        if self._is_known:
            assert self._demuxer is not None
            self._demuxer.receive_data(data)
        else:
            self._head += data

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in the order of the segment.

        Raises:
            PeerError: It is no media segment, or a broken one.
            LimitExceeded: Something in it is too large.
        """
        if not self._is_known:
            yield from self._recognise(final=False)
        if self._is_known and self._demuxer is not None:
            yield from _media(self._demuxer.events())

    def end(self) -> Iterator[Event]:
        """Yield what the end of the segment tells; what goes on in the next one waits for it.

        Raises:
            PeerError: As `events`.
            LimitExceeded: As `events`.
        """
        if not self._is_known and self._head:
            yield from self._recognise(final=True)
        self._is_open = False
        if self._is_known and self._demuxer is not None:
            yield from _media(self._demuxer.end_segment())

    def flush(self) -> Iterator[Event]:
        """Yield what is left at the end of a run.

        Raises:
            PeerError: As `events`.
            UsageError: A segment has not ended.
        """
        if self._is_open:
            raise UsageError("end the segment first")
        yield from self._flush()

    def _flush(self) -> Iterator[Event]:
        demuxer = self._demuxer
        if demuxer is not None:
            yield from _media(demuxer.flush())
            self._damaged += demuxer.damaged
            self._unread |= _unread_of(demuxer)
            self._demuxer = None

    def _recognise(self, *, final: bool) -> Iterator[Event]:
        """Find out what the segment is, and make what reads it."""
        head = self._head
        kind, self._step = _recognised(head, self._step, final=final)
        if not kind:
            return
        if kind != self.kind or self._demuxer is None:
            yield from self._flush()
            self.kind = kind
            self._demuxer = _DEMUXERS[kind]()
            self._wants_init = True
        self._is_known = True
        demuxer = self._demuxer
        if self._wants_init:
            self._wants_init = False
            # A run may change to a kind that it is not for.
            if _kind_of(self._init, final=True) == kind:
                demuxer.receive_data(self._init)
                yield from _media(demuxer.events())
                yield from _media(demuxer.end_segment())
        demuxer.receive_data(bytes(head))
        head.clear()


def _unread_of(demuxer: _Demuxer | None) -> frozenset[str]:
    if isinstance(demuxer, mpegts_demuxer.Demuxer):
        return frozenset(demuxer.unread)
    if isinstance(demuxer, fmp4_demuxer.Demuxer) and demuxer.movie is not None:
        return frozenset(demuxer.movie.left_out)
    return frozenset()


def _new_mpegts() -> mpegts_demuxer.Demuxer:
    # Broadcasts with open groups of pictures have hardly another keyframe than such.
    return mpegts_demuxer.Demuxer(recovery_points=True)


def _new_mp4() -> fmp4_demuxer.Demuxer:
    return fmp4_demuxer.Demuxer(of_segments=True)


_DEMUXERS: Final[dict[Kind, Callable[[], _Demuxer]]] = {
    "mpegts": _new_mpegts,
    "mp4": _new_mp4,
    "packed_audio": packed_audio.Demuxer,
}


def _media(events: Iterator[mpegts_demuxer.Event]) -> Iterator[Event]:
    for event in events:
        if not isinstance(event, mpegts_demuxer.TrackEnded):
            yield event


def _recognised(head: bytes | bytearray, step: int, *, final: bool) -> tuple[Kind, int]:
    """Tell what a segment is.

    Args:
        step: How many of `_STEPS` were looked at before, and did not tell.
        final: It is all of the segment.

    Returns:
        That, or "" where more bytes are needed; and how many of `_STEPS` were looked at.

    Raises:
        PeerError: It is no media.
    """
    for size in _STEPS[step:]:
        whole = final and len(head) <= size
        if not whole and len(head) < size:
            return "", step
        step += 1
        kind = _kind_of(bytes(head[:size]), final=whole)
        if kind:
            return kind, step
        if whole:
            break
    raise PeerError(
        "the segment is neither MPEG-TS, MP4 nor packed audio"
        + (_looks_like(head) or " (a wrong key?)"),
        reference=_FORMATS,
        offset=0,
    )


def _kind_of(head: bytes, *, final: bool) -> Kind:
    """Tell what a segment is; "" where its first bytes do not tell.

    Args:
        final: There are no more.
    """
    if _is_mp4(head):
        return "mp4"
    if head.startswith(b"ID3"):
        return "packed_audio"
    # Three packets in a row, with sync bytes, are no chance; less than three stand alone.
    short = final and len(head) >= PACKET_SIZE and head[::PACKET_SIZE].strip(b"G") == b""
    if short or find_sync(head, 0, final=False).size:
        return "mpegts"
    return "packed_audio" if _starts_with_frame(head) else ""


def _is_mp4(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    return bytes(head[4:8]) in fmp4_demuxer.FIRST_BOXES and (size >= 8 or size < 2)


def _starts_with_frame(head: bytes) -> bool:
    """Whether there is a frame of packed audio at the start, as far as it tells."""
    for parse in (aac.parse_adts, mpegaudio.parse_header, ac3.parse_syncframe):
        try:
            parse(head)
        except PeerError:
            continue
        return True
    return False


def _looks_like(head: bytes | bytearray) -> str:
    """Name what a segment looks like, for a message."""
    start = bytes(head[:64])
    text = start.lstrip(_SPACE).lower()
    for beginning, name in _LOOKS:
        if start.startswith(beginning) or text.startswith(beginning.lower()):
            return f": it looks like {name}"
    return ""
