"""A datagram, or a batch of them, to many addresses in one system call: sendmmsg(2).

Python has no such call, so libc is asked. What is sent is the same for all: the headers of all
messages point to one place, which is filled before the call.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, Protocol

UDP_SEGMENT: Final = 103
"""Of udp(7), since Linux 4.18: the size into which the kernel cuts what is sent in one call."""

# What sendmmsg takes in one go: UIO_MAXIOV.
_MOST: Final = 1024

# struct mmsghdr: the name, the vector and the control data of struct msghdr, each with its length;
# flags; and how much was sent. Padded as C does.
_HEADER: Final = struct.Struct("@PIPNPNi0PI0P")

# struct cmsghdr, padded to where its data begin, and a short integer, padded likewise.
_CONTROL: Final = struct.Struct("@Nii0NH0N")
_CONTROL_HEAD: Final = struct.calcsize("@Nii0N")

# sockaddr_in and sockaddr_in6: the family is as the machine has it, ports as the network has them.
_FAMILY: Final = struct.Struct("@H")
_SCOPE: Final = struct.Struct("@I")

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

Address = tuple[Any, ...]
"""Of a socket: host, port, and for IPv6 two numbers more."""


class Messages(Protocol):
    """The same to many addresses, again and again."""

    def send(self, start: int, data: bytes, segment: int) -> int:
        """Send data to all from one on, or to as many of these as the kernel takes.

        Args:
            start: How many are left out; there must be one more.
            data: One datagram, or several of one size, the last perhaps shorter.
            segment: That size.

        Returns:
            How many were sent to.

        Raises:
            OSError: The first was not.
        """


class ManyMessages(Protocol):
    """What sends the same to many."""

    def can_reach(self, address: Address) -> bool:
        """Whether an address is one of this kind: its host is a number."""

    def messages(self, addresses: Sequence[Address]) -> Messages:
        """Return what sends to addresses that can be reached."""


class _Vector(ctypes.Structure):
    # struct iovec
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class SocketMessages:
    """A `ManyMessages` of a real socket, where `has_many_messages`.

    Args:
        sock: Of datagrams; closed by somebody else, and not used after that.
        segmented: The kernel cuts what is sent.
    """

    def __init__(self, sock: socket.socket, *, segmented: bool) -> None:
        self._socket = sock
        self._segmented = segmented

    def can_reach(self, address: Address) -> bool:
        try:
            _packed(self._socket.family, address)
        except (OSError, ValueError):
            return False
        return True

    def messages(self, addresses: Sequence[Address]) -> Messages:
        family = self._socket.family
        packed = [_packed(family, address) for address in addresses]
        return _SocketMessages(self._socket, packed, segmented=self._segmented)


class _SocketMessages:
    """All headers side by side, and what they point to.

    Args:
        sock: To send with.
        addresses: As the kernel has them.
        segmented: The kernel cuts what is sent.
    """

    def __init__(self, sock: socket.socket, addresses: Sequence[bytes], *, segmented: bool) -> None:
        self._socket = sock
        self._count = len(addresses)
        self._vector = _Vector()
        self._control = ctypes.create_string_buffer(
            _CONTROL.pack(_CONTROL_HEAD + 2, socket.IPPROTO_UDP, UDP_SEGMENT, 0), _CONTROL.size
        )
        self._segment = ctypes.c_uint16.from_buffer(self._control, _CONTROL_HEAD)
        names = b"".join(addresses)
        self._names = ctypes.create_string_buffer(names, len(names))
        name, vector = ctypes.addressof(self._names), ctypes.addressof(self._vector)
        control = (ctypes.addressof(self._control), _CONTROL.size) if segmented else (0, 0)
        size = len(addresses[0])
        headers = b"".join(
            [
                _HEADER.pack(name + place, size, vector, 1, *control, 0, 0)
                for place in range(0, len(names), size)
            ]
        )
        # The kernel writes into them.
        self._headers = ctypes.create_string_buffer(headers, len(headers))
        self._call = _sendmmsg()

    def send(self, start: int, data: bytes, segment: int) -> int:
        self._vector.base = data
        self._vector.length = len(data)
        self._segment.value = segment
        found: int = self._call(
            self._socket.fileno(),
            ctypes.addressof(self._headers) + start * _HEADER.size,
            min(self._count - start, _MOST),
            0,
        )
        if found < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return found


def has_many_messages() -> bool:
    """Whether this system can send many at once."""
    return _sendmmsg() is not None


def _sendmmsg() -> Any:
    """Return libc's function; None where it has none."""
    function = getattr(_LIBC, "sendmmsg", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        function.restype = ctypes.c_int
    return function


def _packed(family: int, address: Address) -> bytes:
    """Return an address as the kernel has it.

    Raises:
        OSError: The host is no number of the family, or its zone is none of this machine's.
        ValueError: Likewise.
    """
    host, port, *rest = address
    head: bytes = _FAMILY.pack(family) + port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return head + socket.inet_aton(host) + bytes(8)
    number, _percent, zone = host.partition("%")
    flow, scope = rest or (0, 0)
    if zone:
        scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    in6 = socket.inet_pton(socket.AF_INET6, number)
    return head + flow.to_bytes(4, "big") + in6 + _SCOPE.pack(scope)
