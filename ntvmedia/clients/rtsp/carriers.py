"""How the tracks of one session are carried: what is asked for, and what the server makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ntvmedia.clients.rtsp.connection import ClientConnection
from ntvmedia.clients.rtsp.datagrams import DatagramPair
from ntvmedia.clients.rtsp.options import RTSPError
from ntvmedia.wire.rtsp.messages import build_interleaved
from ntvmedia.wire.rtsp.transport import Lower, Transport

_NAMES: Final = {Lower.TCP: "TCP", Lower.UDP: "UDP"}
_REFUSED: Final = 461


class Carriers:
    """The channels or ports of a session.

    Args:
        connection: Its.
        ways: To try, in order.
        random: Returns as many unpredictable bytes as it is asked for.
        received: Called with the index of a track, a datagram of it, and whether it is of RTCP;
            what it raises ends the connection.
    """

    def __init__(
        self,
        connection: ClientConnection,
        ways: Sequence[Lower],
        random: Callable[[int], bytes],
        received: Callable[[int, bytes, bool], None],
    ) -> None:
        self._connection = connection
        self._ways = list(ways)
        self._random = random
        self._received = received
        self._pairs: dict[int, DatagramPair] = {}
        self._channels: dict[int, tuple[int, int]] = {}

    @property
    def by_udp(self) -> bool:
        """Whether some of the tracks come in datagrams."""
        return bool(self._pairs)

    @property
    def another_way(self) -> bool:
        """Whether there is one to try after this one."""
        return len(self._ways) > 1

    def set_up(self, indices: Iterable[int]) -> None:
        """Ask for tracks in the first way that is left.

        Raises:
            RTSPError: There are no ports, and no other way.
        """
        indices = tuple(indices)
        if self._ways[0] is Lower.UDP:
            try:
                self._open(indices)
            except RTSPError:
                self.close()
                if not self.another_way:
                    raise
                del self._ways[0]
        if self._ways[0] is Lower.UDP:
            wanted = {
                index: Transport(Lower.UDP, client_port=pair.ports)
                for index, pair in self._pairs.items()
            }
        else:
            wanted = {
                index: Transport(Lower.TCP, interleaved=(2 * place, 2 * place + 1))
                for place, index in enumerate(indices)
            }
        self._connection.session.set_up(wanted)

    def refused(self) -> None:
        """Go on to the next way: the server does not carry tracks in this one.

        Raises:
            RTSPError: There is none.
        """
        self.close()
        name = _NAMES[self._ways.pop(0)]
        if not self._ways:
            why = f"the server does not carry media over {name}"
            raise RTSPError(why, _REFUSED, is_permanent=True)

    def settled(self, index: int, transport: Transport) -> bool:
        """Take what the server decided for a track.

        Returns:
            Whether that keeps packets in order, as TCP does.

        Raises:
            RTSPError: It is what we cannot do.
        """
        if transport.interleaved is not None:
            pair = self._pairs.pop(index, None)
            if pair is not None:
                pair.close()
            self._channels[index] = transport.interleaved
            return True
        if transport.is_multicast:
            raise RTSPError("the server sends to a multicast group, which was not asked for")
        if transport.server_port is not None:
            self._pairs[index].send_to(transport.server_port)
        return False

    def write_packets(self, index: int, packets: Iterable[bytes]) -> None:
        """Write RTP packets of a track."""
        pair = self._pairs.get(index)
        if pair is not None:
            for data in packets:
                pair.write_packet(data)
        elif index in self._channels:
            channel = self._channels[index][0]
            frames = b"".join([build_interleaved(channel, data) for data in packets])
            self._connection.write(frames)

    def write_report(self, index: int, data: bytes) -> None:
        """Write an RTCP compound of a track; where the server takes nothing, it is left out."""
        pair = self._pairs.get(index)
        if pair is not None:
            pair.write_report(data)
        elif index in self._channels and not self._connection.congested:
            self._connection.write(build_interleaved(self._channels[index][1], data))

    def close(self) -> None:
        """Give all ports back. Idempotent."""
        pairs, self._pairs = self._pairs, {}
        for pair in pairs.values():
            pair.close()
        self._channels.clear()

    def _open(self, indices: Iterable[int]) -> None:
        connection = self._connection
        local, peer = connection.addresses
        for index in indices:

            def received(data: bytes, is_rtcp: bool, index: int = index) -> None:
                connection.attempt(self._received, index, data, is_rtcp)

            self._pairs[index] = DatagramPair(
                connection.reactor, local, peer, self._random, received
            )
