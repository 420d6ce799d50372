"""Playing from multicast groups: each stream is sent once, however many listen.

A group has an address and ports of its own, since a socket on a port may be given what comes for
any group that its machine has joined. It is sent to while at least one of its members plays. What
members do with the packets nobody hears of but by their reports, which they send to the group
(RFC 3550 section 11) or back to where the packets come from.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from ntvmedia.config.reading import Network
from ntvmedia.endpoints.rtsp.playing import Presentation, rendition_key
from ntvmedia.endpoints.rtsp.ports import (
    DatagramReader,
    NoPorts,
    PortPair,
    UDPPorts,
    host_of_address,
    is_report,
)
from ntvmedia.endpoints.rtsp.senders import DATAGRAMS, Senders
from ntvmedia.events import ApplicationChanged
from ntvmedia.hub.datagram_sockets import DatagramSockets, can_segment
from ntvmedia.hub.datagrams import DatagramOutlet
from ntvmedia.hub.many_messages import Address
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.viewer import OutletViewer, RequestViewer, ViewerInfo
from ntvmedia.wire.rtsp.transport import Transport

# Below what systems give out by themselves, and above what needs rights. Each group has as many
# ports as four tracks need; they are used again for others when the numbers are at their end.
_FIRST_PORT: Final = 20000
_PORTS: Final = 8
_GROUPS_OF_PORTS: Final = 1250

# Of Linux: the IPv6 addresses of this machine. Python has no getifaddrs.
_INTERFACES: Final = "/proc/net/if_inet6"

# So many tracks at most: one of video and one of sound, so far.
_MAX_TRACKS: Final = _PORTS // 2


class Groups:
    """All groups of a server; `host.part(Groups)`.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._ports: UDPPorts = host.part(UDPPorts)
        self._senders: Senders = host.part(Senders)
        self._groups: dict[tuple[Stream, tuple[int, ...], str], Group] = {}
        self._numbers: set[int] = set()
        self._next = 1  # the first of a network is often taken for the network itself
        host.events.subscribe(ApplicationChanged, self._changed)

    def group(self, presentation: Presentation, local: str) -> Group:
        """Return the group of some tracks of a stream, for one session more.

        Args:
            presentation: Of the stream.
            local: The address of this server that the client connected to: it is sent from there.

        Raises:
            NoPorts: The application has no multicast; there is no group or port left, or none of
                the address's kind.
        """
        if not self._is_allowed(presentation.stream):
            raise NoPorts("its application has no multicast")
        tracks = tuple(track.id for track in presentation.tracks[:_MAX_TRACKS])
        name = (presentation.stream, tracks, local)
        group = self._groups.get(name)
        if group is None:
            number, address = self._free_address(6 if ":" in local else 4)
            pair = self._ports.pool.take(local)
            try:
                group = Group(
                    self._host,
                    pair,
                    (address, _FIRST_PORT + _PORTS * (number % _GROUPS_OF_PORTS)),
                    presentation,
                    self._senders,
                    lambda: self._forget(name, number, pair),
                )
            except OSError as error:
                self._ports.pool.give_back(pair)
                raise NoPorts(f"no multicast from {local}: {error.strerror}") from None
            self._groups[name] = group
            self._numbers.add(number)
        group.users += 1
        return group

    def _is_allowed(self, stream: Stream) -> bool:
        application = self._host.applications.get(stream.key.application)
        return application is not None and application.rtsp_multicast

    def _changed(self, event: ApplicationChanged) -> None:
        """Send away those who play from groups that there may not be any more."""
        for (stream, _tracks, _local), group in tuple(self._groups.items()):
            if stream.key.application == event.name and not self._is_allowed(stream):
                group.end("the application has no multicast any more")

    def _forget(
        self, name: tuple[Stream, tuple[int, ...], str], number: int, pair: PortPair
    ) -> None:
        del self._groups[name]
        self._numbers.discard(number)
        self._ports.pool.give_back(pair)

    def _free_address(self, version: int) -> tuple[int, str]:
        """Return a number that no group has, and the address that it stands for.

        Raises:
            NoPorts: There is none.
        """
        networks: Iterable[Network] = self._host.settings.rtsp.multicast_groups
        chosen = [network for network in networks if network.version == version]
        # No more than there can be pairs of ports: a network of IPv6 has more than can be counted.
        count = min(sum(network.num_addresses for network in chosen), 1 << 16)
        for _try in range(min(count, len(self._numbers) + 1)):
            number = self._next % count
            self._next = number + 1
            if number not in self._numbers:
                rest = number
                for network in chosen:
                    if rest < network.num_addresses:
                        return number, str(network[rest])
                    rest -= network.num_addresses
        raise NoPorts("there is no multicast group left")


class Group:
    """What some tracks of a stream are sent to.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        pair: What is sent from. It is given back by `closed`.
        address: The group, and its first port.
        presentation: Of the stream.
        senders: Of the server.
        closed: Called when nobody uses this any more.

    Raises:
        OSError: The system sends no multicast from there.

    Attributes:
        address: As given.
        ttl: How many routers pass it on, and one.
        users: Sessions that have set up one of its tracks.
        is_over: Nobody may play from it any more.
    """

    def __init__(
        self,
        host: Any,
        pair: PortPair,
        address: tuple[str, int],
        presentation: Presentation,
        senders: Senders,
        closed: Callable[[], None],
    ) -> None:
        self.address = address
        self.ttl: int = host.settings.rtsp.multicast_ttl
        self.users = 0
        self._closed = closed
        self._pair = pair
        self._stream = presentation.stream
        self._members: dict[MulticastPlaying, str] = {}
        self._players: dict[MulticastPlaying, None] = {}
        self._viewer: OutletViewer | None = None
        self.is_over = False
        _prepare(pair, self.ttl)
        places = range(min(len(presentation.tracks), _MAX_TRACKS))
        channels = {place: 2 * place for place in places}
        self._key = rendition_key(senders, presentation, channels, DATAGRAMS)
        ports = [self.port(place) for place in places]
        self._sockets = DatagramSockets(
            host.reactor,
            pair.packets,
            pair.reports,
            segmented=host.settings.rtsp.udp_segmentation and can_segment(pair.packets),
            most_waiting=host.hub.outlet_policy.queue_bytes,
        )
        self._outlet = DatagramOutlet(
            self._sockets,
            {
                channel: (address[0], port + channel % 2)
                for port, first in zip(ports, channels.values(), strict=True)
                for channel in (first, first + 1)
            },
            lambda: self._ended("the output failed"),
        )
        self._own = (pair.host, pair.port + 1)
        self._heard_by = [pair.reports]
        for port in ports:
            with contextlib.suppress(OSError):
                self._heard_by.append(_joined(address[0], port + 1, pair.host))
        self._readers = [
            DatagramReader(host.reactor, sock, self._report_received) for sock in self._heard_by
        ]

    def port(self, place: int) -> int:
        """Return the port of a track's packets; that of its reports is the next one."""
        return self.address[1] + 2 * place

    def enter(self, member: MulticastPlaying, host: str) -> None:
        """Tell a session when a report comes from its host."""
        self._members[member] = host

    def play(self, member: MulticastPlaying) -> None:
        """Send, if that is not done yet.

        Raises:
            NotFound: The stream is over.
        """
        if self._viewer is None:
            host, port = self.address
            info = ViewerInfo("rtsp", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
            self._viewer = self._stream.play(self._key, self._outlet, info, self._ended)
        self._players[member] = None

    def rest(self, member: MulticastPlaying) -> None:
        """Send nothing any more, unless others play. Idempotent."""
        self._players.pop(member, None)
        if not self._players and self._viewer is not None:
            viewer, self._viewer = self._viewer, None
            viewer.leave("nobody plays it any more")
            self._outlet.skip_to_keyframe()

    def leave(self, member: MulticastPlaying) -> None:
        """Count one session less. To be called once for each."""
        self.rest(member)
        self._members.pop(member, None)
        self.users -= 1
        if not self.users:
            for reader in self._readers:
                reader.stop()
            self._outlet.close()
            self._sockets.close()
            for sock in self._heard_by:
                sock.close()
            self._closed()

    def end(self, reason: str) -> None:
        """Send all who play from it away, for good, while the stream goes on for others."""
        self.is_over = True
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.leave(reason)
        self._ended(reason)

    def _ended(self, reason: str) -> None:
        self._viewer = None
        for member in tuple(self._players):
            member.ended(reason)

    def _report_received(self, data: bytes, address: Address) -> None:
        # What we send to the group comes back to us.
        if address[:2] != self._own and is_report(data):
            host = host_of_address(address)
            for member, its_host in self._members.items():
                if its_host == host:
                    member.heard()


class MulticastPlaying:
    """One session that plays from a group.

    Args:
        group: The group; left by `close`.
        presentation: What was described.
        host: The client's address, without port.
        now: Returns monotonic seconds.
        info: Returns who the viewer is, when it begins.
        over: Called with a reason when the stream ends or the viewer is sent away.

    Attributes:
        heard_at: Monotonic seconds when a report came last; 0 before.
    """

    def __init__(
        self,
        group: Group,
        presentation: Presentation,
        host: str,
        now: Callable[[], float],
        info: Callable[[], ViewerInfo],
        over: Callable[[str], None],
    ) -> None:
        self.heard_at = 0.0
        self._group: Group | None = group
        self._presentation = presentation
        self._now = now
        self._info = info
        self._over = over
        self._viewer: RequestViewer | None = None
        group.enter(self, host)

    def set_up(self, place: int, offer: Transport) -> Transport:
        """Return the server's answer for a track: what the client wished for does not matter.

        Raises:
            NoPorts: It is one track too many.
        """
        group = self._group
        if group is None or place >= _MAX_TRACKS:
            raise NoPorts("the group has no port for it")
        port = group.port(place)
        return offer._replace(destination=group.address[0], port=(port, port + 1), ttl=group.ttl)

    def starts(self) -> dict[int, tuple[int, int]]:
        """Tell nothing: what comes first depends on when the client has joined the group.

        Raises:
            NotFound: The group is over.
        """
        if self._group is not None and self._group.is_over:
            raise NotFound("the group is no more")
        return {}

    def play(self) -> None:
        """Be one for whom the group is sent to.

        Raises:
            NotFound: The stream is over.
        """
        if self._group is None:
            return
        if self._viewer is None:
            self._viewer = self._presentation.stream.visit(self._info(), self._left)
        self._group.play(self)

    def pause(self) -> None:
        """Be none of those for a while."""
        if self._group is not None:
            self._group.rest(self)

    def leave(self) -> None:
        """Stop watching. Idempotent."""
        self.pause()
        if self._viewer is not None:
            self._viewer.leave()

    def close(self) -> None:
        """Leave the group too. Idempotent."""
        self.leave()
        group, self._group = self._group, None
        if group is not None:
            group.leave(self)

    def heard(self) -> None:
        """Note that a report came from the client's address."""
        self.heard_at = self._now()

    def ended(self, reason: str) -> None:
        """Have it told that the group is sent to no more."""
        if self._viewer is not None:
            self._viewer.end(reason)

    def _left(self, reason: str) -> None:
        self.pause()
        self._over(reason)


def interface_of(host: str) -> int:
    """Return the number of the interface that has an IPv6 address of this machine.

    Returns:
        0, by which the system chooses one, where it cannot be known.
    """
    number, _percent, zone = host.partition("%")
    try:
        if zone:
            return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
        packed = socket.inet_pton(socket.AF_INET6, number).hex()
        # Each line: address, interface, length of the prefix, scope, flags, name; in hexadecimal.
        with open(_INTERFACES, encoding="ascii") as lines:
            return next((int(x.split()[1], 16) for x in lines if x.startswith(packed)), 0)
    except OSError:
        return 0


def _prepare(pair: PortPair, ttl: int) -> None:
    """Let what is sent go out where the pair's address is, and so far."""
    for sock in (pair.packets, pair.reports):
        if ":" in pair.host:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface_of(pair.host))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        else:
            interface = socket.inet_aton(pair.host)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)


def _joined(group: str, port: int, local: str) -> socket.socket:
    """Return a socket that hears what comes for a group on a port.

    Raises:
        OSError: The port is taken by one that does not share it, or the group cannot be joined.
    """
    is_v6 = ":" in group
    sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        # Players of this machine listen on it too.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((group, port))
        if is_v6:
            interface = struct.pack("@I", interface_of(local))
            request = socket.inet_pton(socket.AF_INET6, group) + interface
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            request = socket.inet_aton(group) + socket.inet_aton(local)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    except OSError:
        sock.close()
        raise
    return sock
