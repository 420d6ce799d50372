"""How the tracks of one session are carried: within its connection, over UDP, or to a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from ntvmedia.endpoints.peers import host_of
from ntvmedia.endpoints.rtsp.multicast import Groups, MulticastPlaying
from ntvmedia.endpoints.rtsp.playing import Player, Presentation
from ntvmedia.endpoints.rtsp.ports import NoPorts, UDPPorts
from ntvmedia.endpoints.rtsp.publishing import Incoming
from ntvmedia.endpoints.rtsp.senders import DATAGRAMS
from ntvmedia.endpoints.rtsp.udp_playing import UDPPlaying
from ntvmedia.endpoints.rtsp.udp_receiving import UDPReceiving
from ntvmedia.hub.publication import Publication
from ntvmedia.wire.rtsp.transport import Lower, Transport

if TYPE_CHECKING:
    from ntvmedia.endpoints.rtsp.connection import RTSPConnection


class Plays(Protocol):
    """What a session plays, whatever carries it: see `Player`."""

    def starts(self) -> dict[int, tuple[int, int]]:
        """Tell where each track will begin: by place, sequence number and RTP timestamp."""

    def play(self) -> None:
        """Begin, or go on."""

    def pause(self) -> None:
        """Send nothing for a while."""

    def leave(self) -> None:
        """Stop watching. Idempotent."""


class Carriers:
    """What a session has besides its connection.

    Args:
        connection: Its own; told when what is sent is over.
        ports: For UDP; None where that is not taken.
        groups: For multicast; None where that is not.
    """

    __slots__ = ("_connection", "_from_group", "_groups", "_playing", "_ports", "_receiving")

    def __init__(
        self, connection: RTSPConnection, ports: UDPPorts | None, groups: Groups | None
    ) -> None:
        self._connection = connection
        self._ports = ports
        self._groups = groups
        self._playing: UDPPlaying | None = None
        self._from_group: MulticastPlaying | None = None
        self._receiving: UDPReceiving | None = None

    @property
    def plays_datagrams(self) -> bool:
        """Whether nobody knows that the client takes what it is sent, but for what it says."""
        return self._playing is not None or self._from_group is not None

    @property
    def heard_at(self) -> float:
        """Monotonic seconds when a report of a player came last; 0 before."""
        found = self._playing or self._from_group
        return 0.0 if found is None else found.heard_at

    def play_track(
        self, place: int, offers: Iterable[Transport], presentation: Presentation
    ) -> Transport:
        """Get ready to play a track; returns the answer to the first offer that can be taken.

        Args:
            place: Of it.
            offers: Of the client, the preferred first.
            presentation: What was described.

        Raises:
            NoPorts: None can be taken.
        """

        def carry(offer: Transport) -> Transport:
            if offer.is_multicast:
                return self._to_group(place, offer, presentation)
            return self._to_ports(place, offer)

        return _first(offers, carry)

    def publish_track(
        self, place: int, offers: Iterable[Transport], incoming: Incoming
    ) -> Transport:
        """Get ready to be sent a track; as of `play_track`.

        Args:
            place: Of it.
            offers: Of the client.
            incoming: What takes the packets.

        Raises:
            NoPorts: None can be taken.
            PeerError: The track's description lacks what is needed.
        """
        transport = _first(offers, lambda offer: self._from_ports(place, offer, incoming))
        incoming.set_up(place, in_order=transport.lower is Lower.TCP)
        return transport

    def player(self, presentation: Presentation, tracks: Mapping[int, Transport]) -> Plays:
        """Return what plays, when all tracks are set up.

        Args:
            presentation: What was described.
            tracks: How each was set up, by its place.
        """
        if self._from_group is not None:
            return self._from_group
        connection, playing = self._connection, self._playing
        if playing is not None:
            return Player(
                connection,
                presentation,
                playing.channels,
                outlet=playing.outlet(),
                format=DATAGRAMS,
            )
        channels = {
            place: transport.interleaved[0]
            for place, transport in tracks.items()
            if transport.interleaved is not None
        }
        return Player(connection, presentation, channels)

    def record(self, publication: Callable[[], Publication | None]) -> None:
        """Take datagrams from now on; as of `UDPReceiving.record`."""
        if self._receiving is not None:
            self._receiving.record(publication)

    def report(self, place: int, data: bytes) -> bool:
        """Send a report about a track that came over UDP; returns whether it did."""
        if self._receiving is None:
            return False
        self._receiving.report(place, data)
        return True

    def close(self) -> None:
        """Give back all ports and groups. Idempotent; what is set up after it is a new session."""
        for carrier in (self._playing, self._from_group, self._receiving):
            if carrier is not None:
                carrier.close()
        self._playing = self._from_group = self._receiving = None

    def _local(self) -> str:
        return host_of(self._connection.transport.getHost())

    def _to_ports(self, place: int, offer: Transport) -> Transport:
        playing = self._playing
        if playing is None:
            assert self._ports is not None
            playing = UDPPlaying(
                self._ports, self._local(), self._connection.host, self._datagrams_broken
            )
        try:
            answer = playing.set_up(place, offer)
        except NoPorts:
            if self._playing is None:
                playing.close()
            raise
        self._playing = playing
        return answer

    def _to_group(self, place: int, offer: Transport, presentation: Presentation) -> Transport:
        if self._from_group is None:
            assert self._groups is not None and self._ports is not None
            connection = self._connection
            self._from_group = MulticastPlaying(
                self._groups.group(presentation, self._local()),
                presentation,
                connection.host,
                self._ports.reactor.seconds,
                connection.viewer_info,
                connection.player_ended,
            )
        return self._from_group.set_up(place, offer)

    def _from_ports(self, place: int, offer: Transport, incoming: Incoming) -> Transport:
        if self._receiving is None:
            assert self._ports is not None
            self._receiving = UDPReceiving(
                self._ports, incoming, self._local(), self._connection.host
            )
        return self._receiving.set_up(place, offer)

    def _datagrams_broken(self) -> None:
        self._connection.close("the output failed")


def _first(offers: Iterable[Transport], carry: Callable[[Transport], Transport]) -> Transport:
    """Return the answer to the first offer that can be taken.

    Raises:
        NoPorts: None can.
    """
    refused: NoPorts | None = None
    for offer in offers:
        if offer.lower is Lower.TCP:
            return offer
        try:
            return carry(offer)
        except NoPorts as error:
            refused = error
    assert refused is not None
    raise refused
