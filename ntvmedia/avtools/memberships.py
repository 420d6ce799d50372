"""UDP sockets that receive: a port of this machine, or a group on one network interface.

In the child process only. Groups are joined as RFC 3678 section 5 has it, alike for IPv4 and IPv6;
they are left when the socket closes, so also when the process is killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ntvmedia.errors import RemoteError

# <linux/in.h>, <linux/in6.h>, <linux/sockios.h>, <asm/socket.h>: not all are in Python's module.
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29
_MCAST_JOIN_GROUP: Final = 42
_MCAST_JOIN_SOURCE_GROUP: Final = 46
_SIOCGIFADDR: Final = 0x8915
_SO_RCVBUFFORCE: Final = 33
_SO_RXQ_OVFL: Final = 40

# struct sockaddr_storage, and what is before it in struct group_req: both as this machine aligns.
_STORAGE_BYTES: Final = 128
_GROUP: Final = struct.Struct("@I0L")

_Address = IPv4Address | IPv6Address


def open_receiver(
    address: str, port: int, interface: str, sources: Sequence[str], receive_buffer: int
) -> socket.socket:
    """Bind a socket, and join the group where the address is one.

    Args:
        address: An IP address of this machine, or of a group; empty for any.
        port: 1 to 65535.
        interface: The name of an interface or its address, for a group; empty for the system's
            choice.
        sources: Of a group, the addresses that it is asked for from; all when empty.
        receive_buffer: Bytes that the kernel is asked to keep.

    Raises:
        RemoteError: That cannot be.
    """
    where = ip_address(address or "0.0.0.0")  # noqa: S104 - what "any" is
    is_ipv6 = isinstance(where, IPv6Address)
    receiver = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        _set_buffer(receiver, receive_buffer)
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        index = _index_of(interface, receiver) if interface else 0
        if where.is_multicast:
            # Others may take the same group, and other groups on this port are no concern of ours.
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            receiver.bind((address, port, 0, index))
        else:
            receiver.bind((str(where), port))
        if where.is_multicast:
            _join(receiver, where, index, [ip_address(x) for x in sources])
    except OSError as error:
        receiver.close()
        raise _in_words(error) from None
    except BaseException:
        receiver.close()
        raise
    return receiver


def buffer_of(receiver: socket.socket) -> int:
    """Return how many bytes the kernel keeps: it says twice that (socket(7))."""
    return receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def dropped_in(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    """Return how many datagrams the kernel has dropped so far; None where it does not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL and len(data) >= 4:
            return int(struct.unpack_from("=I", data)[0])
    return None


def _set_buffer(receiver: socket.socket, size: int) -> None:
    try:
        # Beyond net.core.rmem_max, for root.
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _join(
    receiver: socket.socket, group: _Address, index: int, sources: Sequence[_Address]
) -> None:
    """Join a group, on one interface, from these sources or from all."""
    level = socket.IPPROTO_IPV6 if group.version == 6 else socket.IPPROTO_IP
    every = _IPV6_MULTICAST_ALL if group.version == 6 else _IP_MULTICAST_ALL
    with contextlib.suppress(OSError):
        # Only what this socket has joined, and not what any other of this machine has.
        receiver.setsockopt(level, every, 0)
    request = _GROUP.pack(index) + _storage(group)
    if not sources:
        receiver.setsockopt(level, _MCAST_JOIN_GROUP, request)
    for source in sources:
        if source.version != group.version:
            why = "a group and its sources are of one IP version"
            raise RemoteError(why, is_permanent=True)
        receiver.setsockopt(level, _MCAST_JOIN_SOURCE_GROUP, request + _storage(source))


def _storage(address: _Address) -> bytes:
    if isinstance(address, IPv4Address):
        data = struct.pack("=HH", socket.AF_INET, 0) + address.packed
    else:
        data = struct.pack("=HHI", socket.AF_INET6, 0, 0) + address.packed
    return data.ljust(_STORAGE_BYTES, b"\0")


def _index_of(interface: str, receiver: socket.socket) -> int:
    """Return the kernel's number of an interface."""
    try:
        wanted = ip_address(interface)
    except ValueError:
        try:
            return socket.if_nametoindex(interface)
        except OSError:
            raise RemoteError("there is no such network interface") from None
    for index, name in socket.if_nameindex():
        if wanted in _addresses_of(name, receiver):
            return index
    raise RemoteError("no network interface has this address")


def _addresses_of(name: str, receiver: socket.socket) -> list[_Address]:
    found: list[_Address] = []
    with contextlib.suppress(OSError):
        request = struct.pack("=16sH14s", name.encode()[:15], socket.AF_INET, b"")
        answer = fcntl.ioctl(receiver.fileno(), _SIOCGIFADDR, request)
        found.append(IPv4Address(answer[20:24]))
    with contextlib.suppress(OSError), open("/proc/net/if_inet6", encoding="ascii") as lines:
        fields = [line.split() for line in lines]
        found += [IPv6Address(bytes.fromhex(x[0])) for x in fields if x[-1] == name]
    return found


def _in_words(error: OSError) -> RemoteError:
    if error.errno == errno.EADDRNOTAVAIL:
        return RemoteError("this machine has no such address", is_permanent=True)
    if error.errno == errno.EADDRINUSE:
        return RemoteError("another task or program has this UDP port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RemoteError("the server may not have this UDP port", is_permanent=True)
    if error.errno == errno.ENODEV:
        return RemoteError("no network interface reaches this group: name one by interface=")
    return RemoteError(f"the UDP port: {os.strerror(error.errno or 0).lower()}")
