"""Tests of ntvmedia.avtools.datagrams and memberships, with sockets on the loopback interface."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ntvmedia.avtools import datagrams
from ntvmedia.avtools.datagrams import DatagramReader
from ntvmedia.avtools.job import DatagramInput
from ntvmedia.errors import RemoteError
from ntvmedia.wire.rtp.packets import build_packet
from tests.avtools.rig import free_udp_port

GROUP = "239.255.77.1"
OTHER = "239.255.77.2"


def ts(number: int, count: int = 7) -> bytes:
    """Make a datagram that tells its number."""
    return (b"\x47" + struct.pack(">I", number) + bytes(183)) * count


@contextmanager
def receiver(source: DatagramInput) -> Iterator[tuple[DatagramReader, list[str]]]:
    """Make a reader, and the lines that it notes."""
    notes: list[str] = []
    with closing(DatagramReader(source, notes.append)) as reader:
        yield reader, notes


def send(address: str, port: int, *data: bytes, sender: str = "127.0.0.1") -> None:
    """Send datagrams from an address of the loopback network."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as out:
        if family == socket.AF_INET:
            out.bind((sender, 0))
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for one in data:
            out.sendto(one, (address, port))


def numbers(data: bytes) -> list[int]:
    """Return the numbers in what was read."""
    found = [struct.unpack_from(">I", data, x + 1)[0] for x in range(0, len(data), 188)]
    return list(dict.fromkeys(found))


def test_unicast() -> None:
    """Datagrams that wait are read together, in order, and no more than there is room for."""
    port = free_udp_port()
    with receiver(DatagramInput("127.0.0.1", port)) as (reader, _notes):
        send("127.0.0.1", port, *map(ts, range(30)))
        assert numbers(reader.read(1 << 16)) == list(range(30))
        send("127.0.0.1", port, ts(1, 40), ts(2))
        assert len(reader.read(1000)) == 1000
        rest = reader.read(1 << 16)
        assert len(rest) == 40 * 188 - 1000


def test_any_address() -> None:
    """Without an address, whatever comes to the port is taken; named sources alone are."""
    port = free_udp_port()
    with receiver(DatagramInput("", port, sources=("127.0.0.3",))) as (reader, _notes):
        send("127.0.0.1", port, ts(1), sender="127.0.0.2")
        send("127.0.0.1", port, ts(2), sender="127.0.0.3")
        assert numbers(reader.read(1 << 16)) == [2]


def test_groups_on_one_port() -> None:
    """E-SR-03: two groups on one port, and two receivers of one group, have no cross-talk."""
    port = free_udp_port()
    with (
        receiver(DatagramInput(GROUP, port, "lo")) as (one, _),
        receiver(DatagramInput(OTHER, port, "127.0.0.1")) as (two, _),
        receiver(DatagramInput(OTHER, port, "lo")) as (three, _),
    ):
        send(GROUP, port, ts(1))
        send(OTHER, port, ts(2))
        send(GROUP, port, ts(3))
        assert numbers(one.read(1 << 16)) == [1, 3]
        assert numbers(two.read(1 << 16)) == [2]
        assert numbers(three.read(1 << 16)) == [2]


def test_source_specific() -> None:
    """E-SR-03: of a group only what the named source sends is there."""
    port = free_udp_port()
    source = DatagramInput(GROUP, port, "lo", ("127.0.0.1",))
    with receiver(source) as (reader, _notes):
        send(GROUP, port, ts(1), sender="127.0.0.2")
        send(GROUP, port, ts(2))
        assert numbers(reader.read(1 << 16)) == [2]
        # The network is asked for that source alone: one that is included, and none left out.
        rows = [line.split() for line in Path("/proc/net/mcfilter").read_text().splitlines()]
        group, sender = (int.from_bytes(socket.inet_aton(x)) for x in (GROUP, "127.0.0.1"))
        ours = [x[4:] for x in rows[1:] if (int(x[2], 16), int(x[3], 16)) == (group, sender)]
        assert ours == [["1", "0"]]
        groups = Path("/proc/net/mcfilter")
    assert f"0x{group:08x}" not in groups.read_text()


def test_left() -> None:
    """E-SR-03: a group is left when the reader is closed, as when its process is killed."""
    igmp = Path("/proc/net/igmp")
    entry = struct.pack("=I", struct.unpack("=I", socket.inet_aton(GROUP))[0])
    needle = f"{struct.unpack('=I', entry)[0]:08X}"
    with receiver(DatagramInput(GROUP, free_udp_port(), "lo")):
        assert needle in igmp.read_text()
    assert needle not in igmp.read_text()


def test_ipv6() -> None:
    """Ports and groups of IPv6 are received too."""
    if not Path("/proc/net/if_inet6").read_text():
        with pytest.raises(RemoteError):
            DatagramReader(DatagramInput("::1", free_udp_port()), print)
        return
    port = free_udp_port()
    with receiver(DatagramInput("::1", port)) as (reader, _notes):
        send("::1", port, ts(1))
        assert numbers(reader.read(1 << 16)) == [1]
    # Where loopback has no route for groups of IPv6, nothing can be sent to one.
    groups = Path("/proc/net/igmp6")
    with receiver(DatagramInput("ff11::77", port, "lo")):
        assert f"ff11{'0' * 24}0077" in groups.read_text()
    assert f"ff11{'0' * 24}0077" not in groups.read_text()


def test_rtp_that_waits() -> None:
    """E-SR-05: a packet whose predecessor is lost is given out after a short wait."""
    port = free_udp_port()
    with receiver(DatagramInput("127.0.0.1", port)) as (reader, _notes):
        packets = [build_packet(33, x, 0, 1, False, ts(x)) for x in (1, 3)]
        send("127.0.0.1", port, *packets)
        found = numbers(reader.read(1 << 16))
        if found == [1]:
            found += numbers(reader.read(1 << 16))
        assert found == [1, 3]


def test_buffer_and_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """E-SR-04: the buffer that was got is noted, with what to set, and so are drops."""
    monkeypatch.setattr(datagrams, "_NOTE_SECONDS", 0.0)
    port = free_udp_port()
    with receiver(DatagramInput("127.0.0.1", port, receive_buffer=1 << 16)) as (reader, notes):
        assert notes == ["the kernel keeps 64 KiB of what is not read yet"]
        for number in range(300):
            send("127.0.0.1", port, ts(number))
        while not any("dropped" in x for x in notes):
            send("127.0.0.1", port, ts(0))
            reader.read(1 << 16)
        dropped = next(x for x in notes if "dropped" in x)
        assert "net.core.rmem_max" in dropped
        assert 100 < int(dropped.split()[3]) < 300
    monkeypatch.setattr("ntvmedia.avtools.memberships._SO_RCVBUFFORCE", 9999)
    with receiver(DatagramInput("127.0.0.1", port, receive_buffer=1 << 28)) as (_reader, notes):
        assert "sysctl -w net.core.rmem_max=268435456" in notes[0]


def test_strange_datagrams_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no MPEG-TS is left out, with a line that says what it is."""
    monkeypatch.setattr(datagrams, "_NOTE_SECONDS", 0.0)
    port = free_udp_port()
    with receiver(DatagramInput("127.0.0.1", port, must_be_rtp=True)) as (reader, notes):
        send("127.0.0.1", port, build_packet(0, 1, 0, 1, False, b"sound"), b"x")
        send("127.0.0.1", port, build_packet(33, 2, 0, 1, False, ts(2)))
        assert numbers(reader.read(1 << 16)) == [2]
        assert "2 datagrams are RTP of payload type 0, and left out" in notes


@pytest.mark.parametrize(
    ("source", "why", "is_permanent"),
    [
        (DatagramInput("192.0.2.1", 5000), "no such address", True),
        (DatagramInput(GROUP, 5000, "nothere0"), "no such network interface", False),
        (DatagramInput(GROUP, 5000, "192.0.2.1"), "has this address", False),
        (DatagramInput(GROUP, 5000, "lo", ("::1",)), "one IP version", True),
    ],
)
def test_refused(source: DatagramInput, why: str, is_permanent: bool) -> None:
    """What cannot be had is said in words, and no descriptor is left."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RemoteError, match=why) as caught:
        DatagramReader(source, print)
    assert caught.value.is_permanent is is_permanent
    assert len(os.listdir("/proc/self/fd")) == before


def test_port_in_use() -> None:
    """A port that another has is not taken from it, and may be free the next time."""
    port = free_udp_port()
    with receiver(DatagramInput("127.0.0.1", port)):
        with pytest.raises(RemoteError, match="another task or program") as caught:
            DatagramReader(DatagramInput("127.0.0.1", port), print)
        assert not caught.value.is_permanent
