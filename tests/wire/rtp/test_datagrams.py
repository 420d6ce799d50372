"""Tests of ntvmedia.wire.rtp.datagrams."""

from __future__ import annotations

from ntvmedia.media import Codec, Track
from ntvmedia.wire.rtp.datagrams import DatagramSerialiser
from ntvmedia.wire.rtp.rtcp import Goodbye, SenderReport, SourceDescription, parse_compound
from ntvmedia.wire.rtp.stream_sender import RANDOM_BYTES, StreamSender
from ntvmedia.wire.rtsp.messages import Interleaved, Reader

AUDIO = Track(Codec.AAC, clock_rate=48000, config=bytes.fromhex("1190"), channels=2)


def test_goodbye() -> None:
    """At the end each track's sender report is followed by its goodbye (RFC 3550 6.6)."""
    sender = StreamSender(bytes(RANDOM_BYTES), 1.8e9, "camera", 1 << 20)
    serialiser = DatagramSerialiser(sender, {AUDIO.id: 4}, lambda: 1.8e9, 50)
    assert serialiser.longest_block_ms == 50
    assert serialiser.tracks_changed([AUDIO], {}, 0) == b""
    reader = Reader()
    reader.receive_data(serialiser.trailer())
    (frame,) = reader.messages()
    assert isinstance(frame, Interleaved)
    assert frame.channel == 5
    report, description, goodbye = parse_compound(frame.payload)
    assert isinstance(report, SenderReport)
    assert description == SourceDescription(sender.ssrc(AUDIO), "camera")
    assert goodbye == Goodbye((sender.ssrc(AUDIO),))


def test_nothing_to_say() -> None:
    """Without tracks there is no goodbye."""
    sender = StreamSender(bytes(RANDOM_BYTES), 1.8e9, "camera", 1 << 20)
    assert DatagramSerialiser(sender, {AUDIO.id: 4}, lambda: 1.8e9, 50).trailer() == b""
