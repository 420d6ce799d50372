"""MPEG-TS by UDP as a file that FFmpeg's demuxer reads. In the child process only."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from ntvmedia.avtools.job import DatagramInput
from ntvmedia.avtools.memberships import buffer_of, dropped_in, open_receiver
from ntvmedia.avtools.unwrapping import Unwrapper

_MAX_DATAGRAM: Final = 1 << 16

# What is left of a read for one more datagram of the usual size.
_ROOM: Final = 2048

# How often drops are told, and datagrams that are none of ours.
_NOTE_SECONDS: Final = 10.0

_ANCILLARY: Final = socket.CMSG_SPACE(4)


class DatagramReader:
    """The payload of what comes to a port.

    Args:
        source: The port, and what is taken.
        note: Takes lines for the operator.

    Raises:
        RemoteError: The port or the group cannot be had.
    """

    name = "<datagrams>"

    def __init__(self, source: DatagramInput, note: Callable[[str], None]) -> None:
        self._note = note
        self._receiver = open_receiver(
            source.address,
            source.port,
            source.interface,
            source.sources,
            source.receive_buffer,
        )
        self._receiver.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._receiver, select.POLLIN)
        # Of a group the kernel has chosen the sources; of a port we do.
        self._allowed = {_address_of(x) for x in source.sources}
        self._unwrapper = Unwrapper(must_be_rtp=source.must_be_rtp)
        self._rest = b""
        self._dropped = 0
        self._told: tuple[int, int] = (0, 0)
        self._tell_at = 0.0
        kept = buffer_of(self._receiver)
        if kept < source.receive_buffer:
            note(
                f"the kernel keeps {kept >> 10} KiB of what is not read yet, and not "
                f"{source.receive_buffer >> 10}: "
                f"sysctl -w net.core.rmem_max={source.receive_buffer} lets it"
            )
        else:
            note(f"the kernel keeps {kept >> 10} KiB of what is not read yet")

    def read(self, count: int) -> bytes:
        """Return what came, at least a datagram; waits for it."""
        if self._rest:
            data, self._rest = self._rest[:count], self._rest[count:]
            return data
        parts: list[bytes] = []
        size = 0
        while True:
            now = time.monotonic()
            came = self._receive(now)
            if came is None:
                part = self._unwrapper.late(now)
                if not part and parts:
                    break
                if not part:
                    self._wait(now)
                    continue
            else:
                part = self._unwrapper.receive(came, now)
            if part:
                parts.append(part)
                size += len(part)
                if size > count - _ROOM:
                    break
        self._tell(now)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        self._rest = whole[count:]
        return whole[:count]

    def close(self) -> None:
        """Leave the group, and give the port back."""
        self._receiver.close()

    def _receive(self, now: float) -> bytes | None:
        """Return a datagram, empty where it is none of ours; None where there is none."""
        try:
            data, ancillary, _flags, sender = self._receiver.recvmsg(_MAX_DATAGRAM, _ANCILLARY)
        except BlockingIOError:
            return None
        if ancillary:
            dropped = dropped_in(ancillary)
            if dropped is not None:
                self._dropped = dropped
        if self._allowed and _address_of(sender[0]) not in self._allowed:
            return b""
        return data

    def _wait(self, now: float) -> None:
        due = self._unwrapper.next_timeout()
        self._tell(now)
        self._poll.poll(_NOTE_SECONDS * 1000 if due is None else max(1, int((due - now) * 1000)))

    def _tell(self, now: float) -> None:
        """Say what went wrong since the last time, but not often."""
        if now < self._tell_at:
            return
        self._tell_at = now + _NOTE_SECONDS
        dropped, strange = self._dropped, self._unwrapper.strange
        dropped_before, strange_before = self._told
        self._told = (dropped, strange)
        if dropped != dropped_before:
            self._note(
                f"the kernel dropped {(dropped - dropped_before) & 0xFFFFFFFF} datagrams, since "
                f"this process was too slow for its {buffer_of(self._receiver) >> 10} KiB "
                "(net.core.rmem_max)"
            )
        if strange != strange_before:
            kind = self._unwrapper.foreign_type
            what = f"RTP of payload type {kind}" if kind >= 0 else "no MPEG-TS"
            self._note(f"{strange - strange_before} datagrams are {what}, and left out")


def _address_of(text: str) -> object:
    return ip_address(text.partition("%")[0])
