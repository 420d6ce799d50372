"""RTP packets and reports of one track on its way out."""

from __future__ import annotations

import pytest

from ntvmedia.errors import UsageError
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp.packets import build_packet, parse_packet
from ntvmedia.wire.rtp.rtcp import build_compound, parse_compound, unix_from_ntp
from ntvmedia.wire.rtp.sending import Sender
from tests.codecs import vectors
from tests.wire.rtp import streams


def test_numbers() -> None:
    """Sequence numbers count on through the wrap; all packets of a frame have its time."""
    source = streams.sender(streams.H264)
    frames = [streams.h264(number, [4000], key=number == 0) for number in range(4)]
    made = [[parse_packet(data) for data in source.packetise(frame)] for frame in frames]
    flat = [packet for packets in made for packet in packets]
    assert [packet.sequence_number for packet in flat] == [
        (65530 + place) & 0xFFFF for place in range(len(flat))
    ]
    for number, packets in enumerate(made):
        assert {packet.timestamp for packet in packets} == {(3600 * number - 9000) % (1 << 32)}
        assert [packet.marker for packet in packets] == [False] * (len(packets) - 1) + [True]
    assert {(packet.ssrc, packet.payload_type) for packet in flat} == {(7, 96)}
    assert source.packets == len(flat)
    assert source.octets == sum(len(packet.payload) for packet in flat)


def test_presentation_times() -> None:
    """The timestamp is that of presentation, whatever the order of decoding."""
    source = streams.sender(streams.H264)
    frame = streams.h264(0, [100], key=False)._replace(dts=1000, pts=10000)
    (data,) = source.packetise(frame)
    assert parse_packet(data).timestamp == 1000 == source.timestamp(10000)


def test_other_clocks() -> None:
    """MP3 counts at 90 kHz in RTP."""
    source = streams.sender(streams.MP3)
    assert source.clock_rate == 90000
    (data,) = source.packetise(streams.mp3(100, [1], key=True))
    assert parse_packet(data).timestamp == (115200 * 90000 // 44100 - 9000) + 0 * 1
    assert source.timestamp(115200) == parse_packet(data).timestamp


def test_each_packet_of_pcm_has_its_time() -> None:
    """G.711 of 3000 samples goes into three packets, one after the other."""
    source = Sender(streams.PCMA, 8, ssrc=7, sequence_number=0, timestamp=(1 << 32) - 2000)
    packets = [
        parse_packet(x) for x in source.packetise(Packet(streams.PCMA, 0, 0, True, bytes(3000)))
    ]
    assert [packet.timestamp for packet in packets] == [(1 << 32) - 2000, (1 << 32) - 560, 880]
    assert [len(packet.payload) for packet in packets] == [1440, 1440, 120]


def test_report() -> None:
    """D-PL-05: the pair of times is that of the media clock, with its fraction, at any moment."""
    source = streams.sender(streams.H264)
    (data,) = source.packetise(streams.h264(100, [50], key=False))
    sent = parse_packet(data)
    report = source.report(wall_zero=1_800_000_000.0, now=1_800_000_006.25)
    assert unix_from_ntp(report.ntp) == 1_800_000_006.25
    assert report.timestamp == source.timestamp(562_500)
    # The frame of 4 s was presented 2.25 s before, whenever it was sent.
    assert (report.timestamp - sent.timestamp) / 90000 == 2.25
    assert (report.ssrc, report.packets, report.octets) == (7, 1, len(sent.payload))
    assert parse_compound(build_compound([report])) == [report]


def test_first_report() -> None:
    """D-PL-05: it can be made before the first packet, also for a time before the stream's."""
    report = streams.sender(streams.AAC).report(wall_zero=1_800_000_000.0, now=1_799_999_999.0)
    assert (report.packets, report.octets) == (0, 0)
    assert report.timestamp == ((1 << 32) - 9000 - 48000)


def test_another_configuration() -> None:
    """Numbers and times go on; keyframes have the new sets."""
    source = streams.sender(streams.H264)
    first = parse_packet(source.packetise(streams.h264(0, [50], key=True))[0])
    other = Track(Codec.H264, config=vectors.AVCC_444)
    source.configure(other)
    frame = streams.h264(1, [50], key=True)._replace(track=other)
    second = parse_packet(source.packetise(frame)[0])
    assert second.sequence_number == first.sequence_number + 1
    assert second.timestamp == first.timestamp + 3600
    assert first.payload != second.payload[: len(first.payload)]


def test_no_format() -> None:
    """RTP has none for FLAC."""
    with pytest.raises(UsageError):
        streams.sender(Track(Codec.FLAC, clock_rate=48000))


def test_the_same_as_by_hand() -> None:
    """The header is the one that `build_packet` writes."""
    source = streams.sender(streams.OPUS)
    packet = streams.opus(0, [20], key=True)
    expected = build_packet(96, 65530, (1 << 32) - 9000, 7, False, packet.payload)
    assert source.packetise(packet) == [expected]
