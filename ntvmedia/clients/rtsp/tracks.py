"""The tracks of what is played: RTP in, tracks and media packets out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from ntvmedia.clients.rtsp.options import RTSPError
from ntvmedia.errors import PeerError
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import Format
from ntvmedia.wire.rtp.payloads import Event
from ntvmedia.wire.rtp.presentation import media_format, media_name
from ntvmedia.wire.rtp.receiver import REPORT_SECONDS, Receiver
from ntvmedia.wire.rtsp.events import Described, RemoteTrack
from ntvmedia.wire.sdp import Direction

MAX_TRACKS: Final = 16
"""Media of a session; cameras have three or four."""

_SHOWN: Final = 200


class Sink(Protocol):
    """Where what is played goes; a publication of the hub is one.

    It is called from the reactor thread, and never again after the Deferred of `RTSPClient.play`
    has fired. What it raises ends the playing, and is what that fails with.
    """

    def track_received(self, track: Track, /) -> None:
        """Take a track: before its first packet, and when its configuration changes.

        After a redirection all of them come again.
        """

    def packet_received(self, packet: Packet, /) -> None:
        """Take a packet, in order of decoding for each track."""

    def batch_ended(self) -> None:
        """Send on what came: nothing more is there at the moment."""


class IncomingTracks:
    """The tracks of one session.

    Args:
        described: By the server.
        sink: Gets what comes of them.
        ssrc: Ours, for reports.
        back_channel: Take those that are for speaking to a camera, too.

    Raises:
        RTSPError: None of them can be played; the message says what they are.

    Attributes:
        wanted: Those that can be played, by their places in the description.
    """

    def __init__(
        self, described: Described, sink: Sink, ssrc: int, *, back_channel: bool = False
    ) -> None:
        self.wanted: dict[int, Format] = {}
        self._sink = sink
        self._ssrc = ssrc
        self._cname = f"{ssrc:08x}"
        self._clock = SessionClock()
        self._numbers: dict[int, int] = {}
        self._receivers: dict[int, Receiver] = {}
        self._reported: float | None = None
        counts: dict[MediaKind, int] = {}
        for track in described.tracks[:MAX_TRACKS]:
            direction = described.description.direction(track.media)
            if direction is Direction.INACTIVE or (track.is_back_channel and not back_channel):
                continue
            found = media_format(track.media)
            if found is not None and self._can_read(found):
                kind = MediaKind.VIDEO if found.codec is None else found.codec.kind
                self.wanted[track.index] = found
                self._numbers[track.index] = counts.get(kind, 0)
                counts[kind] = self._numbers[track.index] + 1
        if not self.wanted:
            names = _names(described.tracks)
            raise RTSPError(f"none of its tracks can be played: {names}", is_permanent=True)

    @property
    def ended(self) -> bool:
        """Whether the senders of all that came said goodbye."""
        heard = [receiver for receiver in self._receivers.values() if receiver.source >= 0]
        return bool(heard) and all(receiver.ended for receiver in heard)

    def begin(self) -> None:
        """Forget what was set up: it is set up again, in another way."""
        self._clock = SessionClock()
        self._receivers.clear()

    def set_up(self, index: int, *, in_order: bool) -> None:
        """Get ready for a track.

        Args:
            index: One of those wanted.
            in_order: As in `Receiver`.
        """
        self._receivers[index] = Receiver(
            self.wanted[index], self._clock, self._numbers[index], in_order=in_order
        )

    def packet_received(self, index: int, data: bytes, now: float) -> None:
        """Take an RTP packet of a track; what is complete goes to the sink."""
        receiver = self._receivers.get(index)
        if receiver is not None:
            self._pass_on(receiver.receive_packet(data, now))

    def report_received(self, index: int, data: bytes, now: float) -> None:
        """Take an RTCP compound of a track."""
        receiver = self._receivers.get(index)
        if receiver is not None:
            receiver.receive_report(data, now)

    def report(self, index: int, now: float) -> bytes:
        """Return what is to be told to the sender of a track that was set up."""
        return self._receivers[index].report(self._ssrc, self._cname, now)

    def reports(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield what is to be reported now: by index, an RTCP compound.

        There is nothing to be said at the first call.
        """
        if self._reported is None:
            self._reported = now
        elif now - self._reported >= REPORT_SECONDS:
            self._reported = now
            for index in self._receivers:
                yield index, self.report(index, now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, in monotonic seconds; None for never."""
        times = (receiver.next_timeout() for receiver in self._receivers.values())
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Give on what has waited long enough for something lost."""
        for receiver in self._receivers.values():
            self._pass_on(receiver.handle_timeout(now))

    def flush(self, now: float) -> None:
        """Give on what waits: nothing more comes."""
        for receiver in self._receivers.values():
            self._pass_on(receiver.flush(now))

    def _pass_on(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Packet):
                self._sink.packet_received(event)
            else:
                self._sink.track_received(event)

    def _can_read(self, format: Format) -> bool:
        """Whether the description has all that the format needs."""
        try:
            format.depacketiser()
        except PeerError:
            return False
        return True


def _names(tracks: Iterable[RemoteTrack]) -> str:
    """Say what tracks are; a server's words are cut and cleaned."""
    names = ", ".join(sorted({media_name(track.media) for track in tracks}))
    return ascii(names[:_SHOWN])[1:-1]
