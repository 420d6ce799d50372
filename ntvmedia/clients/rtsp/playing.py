"""Playing: tracks are set up, packets go to a sink, reports go back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall

from ntvmedia.clients.passing import tell_passed
from ntvmedia.clients.rtsp.carriers import Carriers
from ntvmedia.clients.rtsp.connection import ClientConnection, Outcome
from ntvmedia.clients.rtsp.options import Options, RTSPError
from ntvmedia.clients.rtsp.tracks import IncomingTracks, Sink
from ntvmedia.errors import RemoteError
from ntvmedia.wire.rtp.packets import build_packet
from ntvmedia.wire.rtsp.events import (
    ClientEvent,
    Described,
    Playing,
    Ready,
    TrackReady,
    TransportRefused,
)
from ntvmedia.wire.rtsp.messages import Interleaved
from ntvmedia.wire.rtsp.transport import Lower


class Player:
    """What one connection plays.

    Args:
        sink: Gets it.
        options: How.
        ways: To have it carried, in order.
        random: Returns as many unpredictable bytes as it is asked for.
        server_id: Our own.

    Attributes:
        ends_well: The server has begun to play.
    """

    _connection: ClientConnection
    _carriers: Carriers

    def __init__(
        self,
        sink: Sink,
        options: Options,
        ways: Sequence[Lower],
        random: Callable[[int], bytes],
        server_id: str = "",
    ) -> None:
        self.ends_well = False
        self._sink = sink
        self._options = options
        self._ways = ways
        self._random = random
        self._server_id = server_id
        self._ssrc = int.from_bytes(random(4), "big")
        self._tracks: IncomingTracks | None = None
        self._heard_at = 0.0
        self._has_heard = False
        self._timer: IDelayedCall | None = None
        self._batch: IDelayedCall | None = None

    def begin(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._carriers = Carriers(connection, self._ways, self._random, self._datagram_received)

    def happened(self, event: ClientEvent) -> None:
        match event:
            case Described():
                self._tell_passed(event.hops)
                self._tracks = tracks = IncomingTracks(
                    event, self._sink, self._ssrc, back_channel=self._options.back_channel
                )
                self._carriers.set_up(tracks.wanted)
            case TransportRefused() if self._tracks is not None:
                self._carriers.refused()
                self._tracks.begin()
                self._carriers.set_up(self._tracks.wanted)
            case TrackReady(index, transport) if self._tracks is not None:
                in_order = self._carriers.settled(index, transport)
                self._tracks.set_up(index, in_order=in_order)
            case Ready():
                self._open_the_way()
                self._connection.session.play()
            case Playing():
                self.ends_well = True
                self._heard_at = self._connection.reactor.seconds()

    def frame_received(self, frame: Interleaved, now: float) -> None:
        index, is_report = self._connection.session.channels[frame.channel]
        self._received(index, frame.payload, is_report, now)

    def batch_ended(self) -> None:
        if self._has_heard:
            self._sink.batch_ended()

    def tick(self, now: float) -> None:
        tracks, options = self._tracks, self._options
        if not self.ends_well or tracks is None:
            return
        if tracks.ended:
            self._connection.finish(Outcome.ENDED)
            return
        silence = now - self._heard_at
        by_udp = self._carriers.by_udp and not self._has_heard
        if by_udp and self._carriers.another_way and silence >= options.fallback_seconds:
            self._connection.finish(Outcome.SILENT)
        elif silence >= options.silence_seconds:
            raise RTSPError(f"no media came for {options.silence_seconds:g} seconds")
        else:
            for index, report in tracks.reports(now):
                self._carriers.write_report(index, report)

    def stop(self, *, complete: bool) -> None:
        for timer in (self._timer, self._batch):
            if timer is not None and timer.active():
                timer.cancel()
        self._carriers.close()
        if complete and self._tracks is not None and self._has_heard:
            self._tracks.flush(self._connection.reactor.seconds())
            self._sink.batch_ended()

    def _tell_passed(self, hops: str) -> None:
        try:
            tell_passed(self._sink, hops, self._server_id)
        except RemoteError as error:
            raise RTSPError(str(error), error.status, is_permanent=error.is_permanent) from None

    def _received(self, index: int, data: bytes, is_report: bool, now: float) -> None:
        tracks = self._tracks
        assert tracks is not None
        if is_report:
            tracks.report_received(index, data, now)
        else:
            self._has_heard = True
            self._heard_at = now
            tracks.packet_received(index, data, now)

    def _open_the_way(self) -> None:
        """Send something from our ports, so that a router lets in what comes to them (D-TR-07)."""
        if self._carriers.by_udp and self._tracks is not None:
            now = self._connection.reactor.seconds()
            for index, format in self._tracks.wanted.items():
                nothing = build_packet(format.payload_type, 0, 0, self._ssrc, False, b"")
                self._carriers.write_packets(index, (nothing,))
                self._carriers.write_report(index, self._tracks.report(index, now))

    # Datagrams come one by one: what belongs together is what one turn of the reactor brings.

    def _datagram_received(self, index: int, data: bytes, is_report: bool) -> None:
        reactor = self._connection.reactor
        self._received(index, data, is_report, reactor.seconds())
        if self._batch is None:
            self._batch = reactor.callLater(0.0, self._connection.attempt, self._batch_over)

    def _batch_over(self) -> None:
        self._batch = None
        self.batch_ended()
        due = None if self._tracks is None else self._tracks.next_timeout()
        if due is not None and self._timer is None:
            reactor = self._connection.reactor
            wait = max(0.0, due - reactor.seconds())
            self._timer = reactor.callLater(wait, self._connection.attempt, self._waited)

    def _waited(self) -> None:
        self._timer = None
        assert self._tracks is not None
        self._tracks.handle_timeout(self._connection.reactor.seconds())
        self._batch_over()
