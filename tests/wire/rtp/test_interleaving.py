"""RTP within an RTSP connection: frames of shared packets, and reports in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given, strategies as st

from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtp.interleaving import REPORT_MS, InterleavedSerialiser
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.rtcp import (
    Goodbye,
    SenderReport,
    SourceDescription,
    parse_compound,
    unix_from_ntp,
)
from ntvmedia.wire.rtp.stream_sender import StreamSender
from ntvmedia.wire.rtsp.messages import Interleaved, Reader
from tests.wire.rtp import streams
from tests.wire.rtp.test_stream_sender import WALL_ZERO, make, picture, sound, stream

CHANNELS = {streams.H264.id: 0, streams.AAC.id: 2}
NOW = WALL_ZERO + 77.5


def serialiser(
    sender: StreamSender,
    channels: Mapping[int, int] = CHANNELS,
    tracks: Iterable[Track] = (streams.H264, streams.AAC),
) -> InterleavedSerialiser:
    """Make one that has heard of the tracks."""
    made = InterleavedSerialiser(sender, channels, lambda: NOW)
    assert made.tracks_changed(list(tracks), {}, 0) == b""
    return made


def write(target: InterleavedSerialiser, packets: Iterable[Packet]) -> list[bytes]:
    """Return the pieces that packets become."""
    parts: list[bytes] = []
    for packet in packets:
        target.packet(packet, parts)
    return parts


def frames(data: bytes) -> list[Interleaved]:
    """Read frames as a client does; there is nothing else in the bytes."""
    reader = Reader()
    reader.receive_data(data)
    found = list(reader.messages())
    assert reader.buffered == 0
    assert all(isinstance(frame, Interleaved) for frame in found)
    return [frame for frame in found if isinstance(frame, Interleaved)]


def test_bytes() -> None:
    """RFC 2326 10.12: a dollar, the channel, and the length in two bytes."""
    sender = make()
    parts = write(serialiser(sender), [sound(0)])
    (packet,) = sender.packets(sound(0))
    assert b"".join(parts) == b"$\x02" + len(packet).to_bytes(2, "big") + packet


def test_first_reports() -> None:
    """D-PL-05: who joins gets a report of each track first, on the channel after its packets."""
    sender = make()
    target = serialiser(sender)
    write(target, stream(0, 1000))
    found = frames(target.header(0))
    assert [frame.channel for frame in found] == [1, 3]
    for frame, track in zip(found, (streams.H264, streams.AAC), strict=True):
        report = parse_compound(frame.payload)[0]
        assert isinstance(report, SenderReport)
        assert report.ssrc == sender.ssrc(track)
        assert unix_from_ntp(report.ntp) == NOW


def test_packets_are_shared() -> None:
    """Outputs on other channels, or of other tracks, hold the same packets: no copy is made."""
    sender = make()
    packets = stream(0, 400)
    both = write(serialiser(sender), packets)
    other = write(serialiser(sender, {streams.H264.id: 6, streams.AAC.id: 4}), packets)
    alone = write(serialiser(sender, {streams.AAC.id: 0}, [streams.AAC]), packets)
    made = {id(data) for packet in packets for data in sender.packets(packet)}
    assert {id(part) for part in both if len(part) > 4} == made
    assert {id(part) for part in other if len(part) > 4} == made
    assert {id(part) for part in alone if len(part) > 4} < made


def test_channels() -> None:
    """Each track on its own, and tracks that were not set up on none."""
    target = serialiser(make(), {streams.AAC.id: 200})
    found = frames(b"".join(write(target, stream(0, 400))))
    assert {frame.channel for frame in found} == {200}
    assert [frame.channel for frame in frames(target.header(0))] == [201]
    assert frames(b"".join(write(target, [picture(400, key=True)]))) == []


def report_times(target: InterleavedSerialiser, packets: Iterable[Packet]) -> list[int]:
    """Return the times of the packets that reports follow, in milliseconds."""
    found = []
    for packet in packets:
        channels = [frame.channel for frame in frames(b"".join(write(target, [packet])))]
        reports = [channel for channel in channels if channel % 2]
        if reports:
            assert reports == [1, 3]
            assert channels[-2:] == reports
            found.append(packet.dts * 1000 // packet.track.clock_rate)
    return found


def test_reports_again() -> None:
    """Reports of all tracks follow each 5 s of media, also where its time jumps."""
    target = serialiser(make())
    assert report_times(target, stream(0, 12_000)) == [REPORT_MS, 2 * REPORT_MS]
    assert report_times(target, stream(100_000, 104_000)) == [100_000]
    # A publisher that begins anew.
    assert report_times(target, stream(0, 4000)) == [0]


def test_reports_count_what_was_sent() -> None:
    """RFC 3550 6.4.1: the numbers of a report are those of the packets before it."""
    sender = make()
    target = serialiser(sender)
    packets = stream(0, 5040)
    found = frames(b"".join(write(target, packets)))
    (report,) = (parse_compound(frame.payload)[0] for frame in found if frame.channel == 1)
    assert isinstance(report, SenderReport)
    sent = found[: next(place for place, frame in enumerate(found) if frame.channel == 1)]
    own = [parse_packet(frame.payload) for frame in sent if frame.channel == 0]
    assert report.packets == len(own)
    assert report.octets == sum(len(packet.payload) for packet in own)


def test_track_goes() -> None:
    """One that is no more is not reported, the others say goodbye; nothing is around blocks."""
    target = serialiser(make())
    write(target, stream(0, 400))
    assert target.tracks_changed([streams.AAC], {}, 400) == b""
    assert [frame.channel for frame in frames(target.header(0))] == [3]
    (goodbye,) = frames(target.trailer())
    assert goodbye.channel == 3
    assert [type(x) for x in parse_compound(goodbye.payload)] == [
        SenderReport,
        SourceDescription,
        Goodbye,
    ]
    block = b"block"
    assert target.frame(block) is block


@given(st.integers(1, 70_000), st.booleans())
def test_sizes(size: int, key: bool) -> None:
    """D-RT-14: whatever is sent, each frame is complete, and fits one packet of a network."""
    sender = make()
    packet = picture(0, key=key, size=size)
    found = frames(b"".join(write(serialiser(sender), [packet])))
    assert [frame.payload for frame in found] == sender.packets(packet)
    assert max(len(frame.payload) for frame in found) <= 1460
