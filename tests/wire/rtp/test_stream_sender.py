"""The RTP packets of a whole stream: made once, numbered in order, found again by who joins."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import UsageError
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp.packets import RTPPacket, parse_packet
from ntvmedia.wire.rtp.rtcp import SenderReport, SourceDescription, parse_compound, unix_from_ntp
from ntvmedia.wire.rtp.stream_sender import FIRST_PAYLOAD_TYPE, RANDOM_BYTES, StreamSender
from tests.codecs import vectors
from tests.wire.rtp import streams

WALL_ZERO = 1_800_000_000.0
MIB = 1 << 20


def make(
    keep_bytes: int = MIB,
    random: int = 1,
    tracks: Iterable[Track] = (streams.H264, streams.AAC),
) -> StreamSender:
    """Make the sender of a stream with these tracks."""
    sender = StreamSender(bytes([random]) * RANDOM_BYTES, WALL_ZERO, "name", keep_bytes)
    sender.tracks_changed(tracks)
    return sender


def picture(milliseconds: int, *, key: bool = False, size: int = 3000) -> Packet:
    """A picture of H.264 at a time, in several RTP packets."""
    made = streams.h264(milliseconds, [size], key=key)
    return made._replace(dts=milliseconds * 90, pts=milliseconds * 90)


def sound(milliseconds: int) -> Packet:
    """A frame of AAC at a time."""
    made = streams.aac(milliseconds, [100], key=True)
    return made._replace(dts=milliseconds * 48, pts=milliseconds * 48)


def stream(start: int, end: int, *, group: int = 1000, step: int = 40) -> list[Packet]:
    """Return pictures and sound of some time, a keyframe at each multiple of `group`."""
    found = []
    for time in range(start, end, step):
        found += [picture(time, key=time % group == 0), sound(time)]
    return found


def rtp(sender: StreamSender, packets: Iterable[Packet]) -> list[RTPPacket]:
    """Send packets, and read what was made."""
    return [parse_packet(data) for packet in packets for data in sender.packets(packet)]


def numbers(packets: Iterable[RTPPacket], sender: StreamSender, track: Track) -> list[int]:
    """Return the sequence numbers of one track's packets."""
    ssrc = sender.ssrc(track)
    return [packet.sequence_number for packet in packets if packet.ssrc == ssrc]


def assert_in_order(found: list[int]) -> None:
    """Check that there is neither a gap nor a step back."""
    assert found
    assert found == [(found[0] + place) & 0xFFFF for place in range(len(found))]


def test_made_once() -> None:
    """Whoever asks for a packet gets the same bytes, not equal ones: no viewer costs a copy."""
    sender = make()
    packets = stream(0, 2000)
    first = [sender.packets(packet) for packet in packets]
    again = [sender.packets(packet) for packet in packets]
    assert all(one is other for one, other in zip(first, again, strict=True))
    for track in (streams.H264, streams.AAC):
        assert_in_order(numbers(rtp(sender, packets), sender, track))


def test_identifiers() -> None:
    """Tracks have their own SSRC, first number and first time, and other streams others."""
    found = set()
    for random in (1, 2):
        sender = make(random=random)
        for packet in (picture(0, key=True), sound(0)):
            first = parse_packet(sender.packets(packet)[0])
            found |= {("ssrc", first.ssrc), ("time", first.timestamp)}
            found.add(("number", first.sequence_number))
            assert first.sequence_number < 0x8000
            assert first.ssrc == sender.ssrc(packet.track)
    assert len(found) == 12


def test_payload_types() -> None:
    """Tracks are numbered from 96 on; what RFC 3551 has a number for keeps that."""
    sender = make()
    tracks = (streams.H264, streams.PCMA)
    assert [sender.payload_type(track) for track in tracks] == [FIRST_PAYLOAD_TYPE, 8]
    sender = make()
    tracks = (streams.HEVC, streams.OPUS)
    assert [sender.payload_type(track) for track in tracks] == [96, 97]
    assert parse_packet(sender.packets(streams.opus(0, [30], key=True))[0]).payload_type == 97


def test_start() -> None:
    """D-PL-01: the number and the time of each track's first packet from a keyframe on."""
    sender = make()
    packets = stream(0, 2400)
    rtp(sender, packets)
    place = packets.index(picture(2000, key=True))
    starts = sender.starts_at(2000, (streams.H264, streams.AAC))
    assert set(starts) == {streams.H264.id, streams.AAC.id}
    for track, first in ((streams.H264, packets[place]), (streams.AAC, packets[place + 1])):
        made = parse_packet(sender.packets(first)[0])
        assert starts[track.id] == (made.sequence_number, made.timestamp)


def test_start_in_the_group_before() -> None:
    """An output that gathers blocks may begin a group later than what was made already."""
    sender = make()
    packets = stream(0, 2080)
    rtp(sender, packets)
    starts = sender.starts_at(1000, (streams.H264, streams.AAC))
    first = parse_packet(sender.packets(packets[packets.index(picture(1000, key=True))])[0])
    assert starts[streams.H264.id] == (first.sequence_number, first.timestamp)


def test_start_with_reordered_pictures() -> None:
    """The time is that of presentation, of the keyframe, for the sound too."""
    sender = make()
    keyframe = picture(1000, key=True)
    keyframe = keyframe._replace(pts=keyframe.pts + 7200)
    rtp(sender, [keyframe, sound(1010)])
    starts = sender.starts_at(1000, (streams.H264, streams.AAC))
    assert starts[streams.H264.id].timestamp == parse_packet(sender.packets(keyframe)[0]).timestamp
    heard = parse_packet(sender.packets(sound(1010))[0])
    # The sound's first packet is of 70 ms before.
    assert starts[streams.AAC.id].timestamp == heard.timestamp + 70 * 48
    assert starts[streams.AAC.id].sequence_number == heard.sequence_number


def test_start_of_what_has_not_come() -> None:
    """A track without a packet yet begins with its next."""
    sender = make()
    rtp(sender, [picture(0, key=True)])
    starts = sender.starts_at(0, (streams.H264, streams.AAC))
    first = parse_packet(sender.packets(sound(0))[0])
    assert starts[streams.AAC.id] == (first.sequence_number, first.timestamp)


def test_start_of_sound() -> None:
    """Without pictures any packet begins; one who leaves the pictures out begins with sound."""
    sender = make()
    packets = stream(0, 1000)
    rtp(sender, packets)
    for tracks, time in (((streams.AAC,), 520), ((streams.AAC,), 0)):
        first = parse_packet(sender.packets(sound(time))[0])
        assert sender.starts_at(time, tracks) == {
            streams.AAC.id: (first.sequence_number, first.timestamp)
        }


def test_no_start() -> None:
    """Nothing is told of what is not kept, of a picture that is no keyframe, or of nothing."""
    sender = make()
    tracks = (streams.H264, streams.AAC)
    assert sender.starts_at(0, tracks) == {}
    rtp(sender, stream(0, 4000))
    assert sender.starts_at(3040, tracks) == {}
    assert sender.starts_at(3001, tracks) == {}
    assert sender.starts_at(0, tracks) == {}
    assert sender.starts_at(3000, tracks) != {}


def forgotten(sender: StreamSender, packet: Packet, made: list[bytes]) -> bool:
    """Whether what was made of a packet is kept no more."""
    return sender.packets(packet) is not made


def test_memory_of_groups() -> None:
    """Two groups of pictures are kept, and what was before is not."""
    sender = make()
    first = picture(0, key=True)
    made = sender.packets(first)
    rtp(sender, stream(40, 2000))
    assert not forgotten(sender, first, made)
    rtp(sender, stream(2000, 2040))
    assert forgotten(sender, first, made)


def test_memory_of_sound() -> None:
    """Without pictures some seconds are kept."""
    sender = make(tracks=[streams.AAC])
    first = sound(0)
    made = sender.packets(first)
    for time in range(20, 2000, 20):
        sender.packets(sound(time))
    assert not forgotten(sender, first, made)
    for time in range(2000, 8000, 20):
        sender.packets(sound(time))
    assert forgotten(sender, first, made)


def test_memory_of_sound_after_pictures() -> None:
    """F-RE-01: when the pictures are gone no more sound is kept than where there were none."""
    sender = make(keep_bytes=32 * MIB)
    rtp(sender, stream(0, 2000))
    sender.tracks_changed([streams.AAC])
    first = sound(2000)
    made = sender.packets(first)
    for time in range(2020, 12_000, 20):
        sender.packets(sound(time))
    assert forgotten(sender, first, made)


def test_memory_of_small_packets() -> None:
    """F-RE-01: a group without end of the smallest packets is not kept for hours either."""
    sender = make(keep_bytes=32 * MIB)
    first = sound(0)
    made = sender.packets(first)
    for time in range(20, 20 * 20_000, 20):
        sender.packets(sound(time))
    assert forgotten(sender, first, made)


def test_memory_of_an_endless_group() -> None:
    """A group that never ends is kept up to the limit."""
    sender = make(keep_bytes=100_000)
    first = picture(0, key=True)
    made = sender.packets(first)
    for time in range(40, 4000, 40):
        sender.packets(picture(time))
    assert forgotten(sender, first, made)


@settings(max_examples=30)
@given(st.sampled_from([1000, 4000, 10_000]), st.integers(1, 9), st.booleans(), st.booleans())
def test_who_comes_later_sees_no_gap(
    group: int, joins: int, sound_first: bool, prepared_first: bool
) -> None:
    """Numbers go up one by one for everybody, whoever else plays and since when.

    The first one plays one kind of track only; later another one plays both, from the last
    keyframe on, as the hub keeps it.
    """
    sender = make(keep_bytes=32 * MIB)
    packets = stream(0, group * 2, group=group)
    wanted = streams.AAC if sound_first else streams.H264
    begin = next(place for place, x in enumerate(packets) if x.dts == group * 90 and x.is_keyframe)
    join = begin + (len(packets) - begin) * joins // 10
    one, other = [], []
    for place, packet in enumerate(packets):
        if prepared_first:
            sender.prepare(packet)
        if place == join:
            other += rtp(sender, packets[begin:join])
        if packet.track is wanted:
            one += rtp(sender, [packet])
        if place >= join:
            other += rtp(sender, [packet])
        sender.prepare(packet)
    assert_in_order(numbers(one, sender, wanted))
    for track in (streams.H264, streams.AAC):
        assert_in_order(numbers(other, sender, track))


def test_preparing() -> None:
    """What was prepared is what outputs get; what RTP does not carry is passed over."""
    sender = make(tracks=[streams.H264])
    sender.prepare(Packet(Track(Codec.FLAC, clock_rate=48000), 0, 0, True, b"flac"))
    sender.prepare(picture(0, key=True))
    first = sender.packets(picture(0, key=True))
    sender.prepare(picture(0, key=True))
    sender.prepare(picture(40))
    assert sender.packets(picture(0, key=True)) is first
    assert_in_order(numbers(rtp(sender, [picture(0, key=True), picture(40)]), sender, streams.H264))


def test_description() -> None:
    """Whether what was described is still true: of the codec, not of its configuration."""
    sender = make()
    sender.payload_type(streams.H264)
    sender.payload_type(streams.AAC)
    other = Track(Codec.H264, config=vectors.AVCC_444)
    assert sender.tracks_changed([other, streams.AAC])
    assert sender.tracks_changed([other])
    assert not sender.tracks_changed([other, streams.OPUS])
    assert not make_described().tracks_changed([streams.HEVC])


def make_described() -> StreamSender:
    """Make a sender whose pictures are described as H.264."""
    sender = make()
    sender.payload_type(streams.H264)
    return sender


def test_reports() -> None:
    """D-PL-05: the tracks' reports have the same clock: what is shown together has one wall time.

    Each is a compound with the name of this source (RFC 3550 6.1).
    """
    sender = make()
    made = rtp(sender, stream(0, 1000))
    for track, rate in ((streams.H264, 90000), (streams.AAC, 48000)):
        report, described = parse_compound(sender.report(track, WALL_ZERO + 12.375))
        assert isinstance(report, SenderReport)
        assert described == SourceDescription(sender.ssrc(track), "name")
        own = [packet for packet in made if packet.ssrc == report.ssrc]
        assert report.packets == len(own)
        assert report.octets == sum(len(packet.payload) for packet in own)
        # The first packet of each is of the stream's time 0, by the report's pair of times.
        ticks = (report.timestamp - own[0].timestamp) % (1 << 32)
        assert unix_from_ntp(report.ntp) - ticks / rate == pytest.approx(WALL_ZERO, abs=1e-5)


def test_another_configuration() -> None:
    """Numbers, times and the SSRC go on, and the new sets are sent (D-RT-05)."""
    sender = make()
    before = rtp(sender, [picture(0, key=True)])
    other = Track(Codec.H264, config=vectors.AVCC_444)
    after = rtp(sender, [picture(40, key=True)._replace(track=other)])
    assert_in_order(numbers([*before, *after], sender, other))
    assert after[0].timestamp == (before[0].timestamp + 3600) % (1 << 32)
    assert before[0].payload != after[0].payload


def test_no_format() -> None:
    """RTP has none for FLAC."""
    with pytest.raises(UsageError):
        make().payload_type(Track(Codec.FLAC, clock_rate=48000))
