"""What one RTSP session publishes: RTP in, media packets to the hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ntvmedia.errors import Refused
from ntvmedia.hub.publication import Publication
from ntvmedia.media import MediaKind, Packet
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import Format
from ntvmedia.wire.rtp.payloads import Event
from ntvmedia.wire.rtp.presentation import media_format, media_name
from ntvmedia.wire.rtp.receiver import REPORT_SECONDS, Receiver
from ntvmedia.wire.sdp import SessionDescription

# Media of a session; cameras have three or four.
MAX_TRACKS: Final = 16


class Unsupported(Refused):
    """Nothing of what was announced can be taken."""


class Incoming:
    """The tracks of one publisher.

    Args:
        description: As announced.
        ssrc: Ours, for reports.
        cname: Ours.

    Raises:
        Unsupported: None of them can be taken; the message says what they are.

    Attributes:
        formats: By the place of each media that can be taken.
    """

    def __init__(self, description: SessionDescription, ssrc: int, cname: str) -> None:
        self.formats: dict[int, Format] = {}
        self._receivers: dict[int, Receiver] = {}
        self._numbers: dict[int, int] = {}
        self._clock = SessionClock()
        self._ssrc = ssrc
        self._cname = cname
        self._reported = 0.0
        counts: dict[MediaKind, int] = {}
        for place, media in enumerate(description.media[:MAX_TRACKS]):
            found = media_format(media)
            if found is None:
                continue
            kind = MediaKind.VIDEO if found.codec is None else found.codec.kind
            self.formats[place] = found
            self._numbers[place] = counts.get(kind, 0)
            counts[kind] = self._numbers[place] + 1
        if not self.formats:
            names = ", ".join(sorted({media_name(media) for media in description.media}))
            # A peer's words, for the log.
            shown = ascii(names[:200])[1:-1]
            raise Unsupported(f"none of its tracks can be taken: {shown}")

    def set_up(self, place: int, *, in_order: bool) -> None:
        """Get ready for a track.

        Args:
            place: Of its media; one that cannot be taken is received and thrown away.
            in_order: As in `Receiver`.

        Raises:
            PeerError: Its description lacks what is needed.
        """
        found = self.formats.get(place)
        if found is not None:
            number = self._numbers[place]
            self._receivers[place] = Receiver(found, self._clock, number, in_order=in_order)

    def packet_received(
        self, place: int, data: bytes, now: float, publication: Publication
    ) -> None:
        """Take an RTP packet of a track; what is complete goes to the hub."""
        receiver = self._receivers.get(place)
        if receiver is not None:
            _pass_on(receiver.receive_packet(data, now), publication)

    def report_received(self, place: int, data: bytes, now: float) -> None:
        """Take an RTCP compound of a track."""
        receiver = self._receivers.get(place)
        if receiver is not None:
            receiver.receive_report(data, now)

    def reports(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield what is to be reported to the publisher now: by place, an RTCP compound."""
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            for place, receiver in self._receivers.items():
                yield place, receiver.report(self._ssrc, self._cname, now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, in monotonic seconds; None for never."""
        times = [receiver.next_timeout() for receiver in self._receivers.values()]
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float, publication: Publication) -> None:
        """Give on what has waited long enough for something lost."""
        for receiver in self._receivers.values():
            _pass_on(receiver.handle_timeout(now), publication)

    def flush(self, now: float, publication: Publication) -> None:
        """Give on what waits: nothing more comes."""
        for receiver in self._receivers.values():
            _pass_on(receiver.flush(now), publication)


def _pass_on(events: list[Event], publication: Publication) -> None:
    for event in events:
        if isinstance(event, Packet):
            publication.packet_received(event)
        else:
            publication.track_received(event)
