"""Publishing: a stream is announced, and its packets are sent as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ntvmedia.clients.rtsp.carriers import Carriers
from ntvmedia.clients.rtsp.connection import ClientConnection, Outcome
from ntvmedia.clients.rtsp.options import DEFAULTS, RTSPError
from ntvmedia.clients.rtsp.progress import Progress
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.wire import sdp
from ntvmedia.wire.rtp.formats import describe
from ntvmedia.wire.rtp.receiver import REPORT_SECONDS
from ntvmedia.wire.rtp.rtcp import Goodbye, SourceDescription, build_compound
from ntvmedia.wire.rtp.sending import Sender
from ntvmedia.wire.rtp.stream_sender import FIRST_PAYLOAD_TYPE
from ntvmedia.wire.rtsp.events import (
    Announced,
    ClientEvent,
    Ready,
    Recording,
    TrackReady,
    TransportRefused,
)
from ntvmedia.wire.rtsp.messages import Interleaved
from ntvmedia.wire.rtsp.transport import Lower
from ntvmedia.wire.rtsp.urls import track_control

MAX_QUEUE_BYTES: Final = 4 << 20
"""What may wait for a server that takes less than it is sent: a second at 32 Mb/s."""

# So that a number does not wrap at once, which old players take for a loss.
_FIRST_NUMBERS: Final = 0x7FFF


class Target(Protocol):
    """What a stream is published to."""

    @property
    def dropped(self) -> int:
        """Packets that were not sent, since the server took too little."""

    @property
    def bytes_out(self) -> int:
        """Bytes of RTP that were sent so far."""

    def track_received(self, track: Track, /) -> None:
        """Take the new configuration of a track. One that was not announced is left out."""

    def packet_received(self, packet: Packet, /) -> None:
        """Send a packet, now; packets come in order of decoding, at the pace of the media."""

    def end(self) -> None:
        """Say that the stream is over: publishing ends well. Idempotent."""


class Publisher:
    """What one connection publishes; the `Target` of who has the packets.

    Args:
        tracks: Of the stream; those without a payload format are left out.
        ways: To have it carried, in order.
        random: Returns as many unpredictable bytes as it is asked for.
        wall_seconds: Returns seconds since 1970.
        started: Called with this when packets may come.
        stall_seconds: How long the server may take nothing.

    Raises:
        RTSPError: RTP has no payload format for any track.

    Attributes:
        ends_well: Never: a server that ends the connection refuses the rest.
        description: To be announced.
        dropped: As in `Target`.
        bytes_out: Likewise.
    """

    _connection: ClientConnection
    _carriers: Carriers

    def __init__(
        self,
        tracks: Sequence[Track],
        ways: Sequence[Lower],
        random: Callable[[int], bytes],
        wall_seconds: Callable[[], float],
        started: Callable[[Target], None],
        stall_seconds: float = DEFAULTS.stall_seconds,
    ) -> None:
        self.ends_well = False
        self.dropped = 0
        self.bytes_out = 0
        self._stall_seconds = stall_seconds
        self._ways = ways
        self._random = random
        self._wall_seconds = wall_seconds
        self._started = started
        self._senders: dict[int, tuple[int, Sender]] = {}
        media: list[sdp.MediaDescription] = []
        for track in tracks:
            described = describe(track)
            if described is None:
                continue
            place = len(media)
            fixed = described.payload_type
            payload_type = FIRST_PAYLOAD_TYPE + place if fixed is None else fixed
            rtpmap = sdp.RTPMap(
                described.encoding_name, described.clock_rate, max(1, described.channels)
            )
            control = track_control(place)
            media.append(
                sdp.MediaDescription.of_rtp(
                    track.kind.value, payload_type, rtpmap, described.parameters, control
                )
            )
            self._senders[track.id] = (place, self._sender(track, payload_type))
        if not media:
            names = ", ".join(track.codec.value for track in tracks) or "no tracks"
            raise RTSPError(f"RTP carries none of it: {names}", is_permanent=True)
        self.description = sdp.SessionDescription(
            media=tuple(media),
            origin=sdp.Origin(session_id=str(int.from_bytes(random(4), "big"))),
            name="ntvmedia",
            connection=sdp.Connection("IP4", "0.0.0.0"),  # noqa: S104 - wherever the server is
            attributes=(sdp.Attribute("tool", "ntvmedia"),),
        )
        self._cname = random(8).hex()
        self._wall_zero: float | None = None
        self._reported = 0.0
        self._sending = False
        self._queued = 0
        self._skipping = False
        self._has_video = any(track.kind is MediaKind.VIDEO for track in tracks)

    # What the connection calls

    def begin(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._carriers = Carriers(connection, self._ways, self._random, _ignore)
        self._progress = Progress(connection.transport, connection.reactor.seconds())

    def happened(self, event: ClientEvent) -> None:
        match event:
            case Announced():
                self._set_up()
            case TransportRefused():
                self._carriers.refused()
                self._set_up()
            case TrackReady(index, transport):
                self._carriers.settled(index, transport)
                if transport.interleaved is None and transport.server_port is None:
                    raise RTSPError("the server tells no ports to send to")
            case Ready():
                self._connection.session.record()
            case Recording():
                self._sending = True
                self._started(self)

    def frame_received(self, frame: Interleaved, now: float) -> None:
        """Do nothing: what the server says of its reception changes nothing here."""

    def batch_ended(self) -> None:
        """Do nothing: each packet is sent at once."""

    def tick(self, now: float) -> None:
        if self._progress.idle_seconds(now) >= self._stall_seconds:
            raise RTSPError(f"it took nothing for {self._stall_seconds:g} seconds")
        if self._wall_zero is not None and now - self._reported >= REPORT_SECONDS:
            self._report(now)

    def stop(self, *, complete: bool) -> None:
        if self._sending and complete:
            for place, sender in self._senders.values():
                goodbye = build_compound((Goodbye((sender.ssrc,)),))
                report = self._sender_report(sender, self._wall_seconds())
                self._carriers.write_report(place, report + goodbye)
        self._sending = False
        self._carriers.close()

    # What the owner calls

    def track_received(self, track: Track) -> None:
        found = self._senders.get(track.id)
        if found is not None:
            self._connection.attempt(found[1].configure, track)

    def packet_received(self, packet: Packet) -> None:
        if self._sending:
            self._connection.attempt(self._write, packet)

    def end(self) -> None:
        self._connection.finish(Outcome.ENDED)

    def _set_up(self) -> None:
        self._carriers.set_up(range(len(self.description.media)))

    def _write(self, packet: Packet) -> None:
        found = self._senders.get(packet.track.id)
        if found is None:
            return
        place, sender = found
        if self._wall_zero is None:
            # The packet is of now, and all others are as far from it as their times say.
            at = packet.dts / packet.track.clock_rate
            self._wall_zero = self._wall_seconds() - at
            self._report(self._connection.reactor.seconds())
        packets = sender.packetise(packet)
        if self._may_write(packet, packets):
            self._carriers.write_packets(place, packets)
            self.bytes_out += sum(map(len, packets))
        else:
            self.dropped += 1

    def _may_write(self, packet: Packet, packets: Sequence[bytes]) -> bool:
        """Whether there is room; if there is none, there is again from the next keyframe on."""
        if not self._connection.congested:
            self._queued = 0
        begins = packet.is_keyframe and (
            not self._has_video or packet.track.kind is MediaKind.VIDEO
        )
        if self._skipping and begins and not self._queued:
            self._skipping = False
        if not self._skipping and self._connection.congested:
            self._queued += sum(map(len, packets))
            self._skipping = self._queued > MAX_QUEUE_BYTES
        return not self._skipping

    def _report(self, now: float) -> None:
        self._reported = now
        wall = self._wall_seconds()
        for place, sender in self._senders.values():
            self._carriers.write_report(place, self._sender_report(sender, wall))

    def _sender_report(self, sender: Sender, wall: float) -> bytes:
        zero = wall if self._wall_zero is None else self._wall_zero
        parts = (sender.report(zero, wall), SourceDescription(sender.ssrc, self._cname))
        return build_compound(parts)

    def _sender(self, track: Track, payload_type: int) -> Sender:
        return Sender(
            track,
            payload_type,
            ssrc=int.from_bytes(self._random(4), "big"),
            sequence_number=int.from_bytes(self._random(2), "big") & _FIRST_NUMBERS,
            timestamp=int.from_bytes(self._random(4), "big"),
        )


def _ignore(_index: int, _data: bytes, _is_report: bool) -> None:
    """Do nothing with a datagram of the server: it reports what it received."""
