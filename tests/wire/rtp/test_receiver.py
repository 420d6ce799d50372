"""One track on its way in, with losses, other sources, and reports."""

from __future__ import annotations

from ntvmedia.media import Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import find_format
from ntvmedia.wire.rtp.packets import build_packet
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    build_compound,
    ntp_from_unix,
    parse_compound,
)
from tests.wire.rtp import streams


def sound(number: int, *, ssrc: int = 7, shift: int = 0) -> bytes:
    """Make a packet of G.711."""
    time = (160 * number + shift) & 0xFFFFFFFF
    return build_packet(8, number, time, ssrc, False, streams.filling(number, 160))


def pcma(*, in_order: bool = False) -> Receiver:
    """Make a receiver of G.711."""
    found = find_format(8)
    assert found is not None
    return Receiver(found, SessionClock(), in_order=in_order)


def test_tracks_and_packets() -> None:
    """The track comes first, then its packets, beginning near 0."""
    events = streams.receive(pcma(), [sound(number) for number in range(5)], step=0.02)
    assert events[0] == streams.PCMA
    assert [packet.pts for packet in streams.media(events)] == [8000 + 160 * n for n in range(5)]


def test_what_is_not_ours() -> None:
    """Other payload types, and what is no RTP, is counted and left out."""
    target = pcma()
    other = build_packet(0, 1, 0, 7, False, bytes(160))
    assert streams.receive(target, [other, b"", b"abc", bytes(200)]) == []
    assert (target.malformed, target.source) == (4, -1)
    target.receive_report(b"junk", 1.0)
    assert target.malformed == 5


def test_wait_and_timeout() -> None:
    """D-RT-03: a gap holds packets for 100 ms, and no longer; over TCP not at all."""
    target = pcma()
    assert len(target.receive_packet(sound(1), 1.0)) == 2
    assert target.receive_packet(sound(3), 1.02) == []
    due = target.next_timeout()
    assert due is not None and abs(due - 1.12) < 1e-9
    assert len(target.handle_timeout(due)) == 1
    assert (target.lost, target.next_timeout()) == (1, None)
    target = pcma(in_order=True)
    target.receive_packet(sound(1), 1.0)
    assert len(target.receive_packet(sound(3), 1.02)) == 1
    assert target.lost == 1


def test_another_source() -> None:
    """D-RT-03: an SSRC that changes: the second packet of it is taken, time goes on."""
    target = pcma()
    streams.receive(target, [sound(number) for number in range(50)], now=1.0, step=0.02)
    others = [sound(number + 30000, ssrc=9, shift=1 << 30) for number in range(50)]
    found = streams.media(streams.receive(target, others, now=2.0, step=0.02))
    assert target.source == 9
    assert [packet.payload for packet in found] == [
        streams.filling(number, 160) for number in range(30001, 30050)
    ]
    assert found[0].pts - 8000 == 51 * 160


def test_two_sources_at_once() -> None:
    """D-TR-08: packets of another source in between change nothing."""
    target = pcma()
    mixed: list[bytes] = []
    for number in range(20):
        mixed += [sound(number), sound(number + 500, ssrc=9)]
    found = streams.media(streams.receive(target, mixed))
    assert [packet.payload for packet in found] == [streams.filling(n, 160) for n in range(20)]


def test_source_that_changes_within_a_picture() -> None:
    """What one source began, another does not end."""
    target = streams.receiver(streams.H264)
    first = streams.sender(streams.H264)
    second = streams.sender(streams.H264)
    second.ssrc = 9
    cut = first.packetise(streams.h264(0, [3000], key=True))[:-1]
    rest = second.packetise(streams.h264(0, [3000], key=True))[1:]
    whole = [x for n in (1, 2, 3) for x in second.packetise(streams.h264(n, [10], key=n == 1))]
    events = streams.receive(target, [*cut, *rest, *whole])
    known = {streams.h264(n, [10], key=n == 1).payload for n in (1, 2, 3)}
    assert {packet.payload for packet in streams.media(events)} <= known
    assert target.source == 9


def test_reports() -> None:
    """Wall time by sender reports; our report tells of loss, and of theirs."""
    target = pcma()
    numbers = [0, 1, 2, 4]
    streams.receive(target, [sound(number) for number in numbers], now=1.0, step=0.02)
    report = SenderReport(7, ntp_from_unix(1_800_000_000.0), 160, 2, 320)
    target.receive_report(build_compound([report, SourceDescription(7, "a")]), 1.5)
    wall = target.wall_time(8000 + 8000)
    assert wall is not None and abs(wall - 1_800_000_000.98) < 1e-6
    ours, name = parse_compound(target.report(5, "ntv", 2.0))
    assert isinstance(ours, ReceiverReport)
    assert name == SourceDescription(5, "ntv")
    (block,) = ours.blocks
    assert (block.ssrc, block.packets_lost, block.fraction_lost) == (7, 1, 51)
    assert (block.last_report, block.delay) == (report.ntp >> 16 & 0xFFFFFFFF, 32768)
    # A report of somebody else is not about this track.
    target.receive_report(build_compound([report._replace(ssrc=8, ntp=0)]), 2.0)
    assert target.wall_time(16000) == wall


def test_empty_report() -> None:
    """Before the first packet there is no block."""
    assert parse_compound(pcma().report(5, "ntv", 2.0))[0] == ReceiverReport(5)


def test_goodbye() -> None:
    """D-PL-07: it is noted; whether it ends the track is the caller's matter."""
    target = pcma()
    target.receive_packet(sound(1), 1.0)
    target.receive_report(build_compound([ReceiverReport(8), Goodbye((8,))]), 1.1)
    before = target.ended
    target.receive_report(build_compound([ReceiverReport(7), Goodbye((7, 8))]), 1.2)
    assert (before, target.ended) == (False, True)
    assert len(target.receive_packet(sound(2), 1.3)) == 1


def test_jump_of_sequence_numbers() -> None:
    """D-RT-03: 30,000 ahead, and nothing freezes."""
    numbers = [*range(10), *range(30000, 30010)]
    found = streams.media(streams.receive(pcma(), [sound(number) for number in numbers]))
    assert len(found) == 20


def test_track_number() -> None:
    """The caller numbers tracks of one kind."""
    found = find_format(8)
    assert found is not None
    target = Receiver(found, SessionClock(), 2)
    (track, packet) = target.receive_packet(sound(1), 1.0)
    assert isinstance(track, Track)
    assert track.number == 2
    assert not isinstance(packet, Track) and packet.track is track
