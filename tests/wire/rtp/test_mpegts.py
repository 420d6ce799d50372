"""MPEG-TS in RTP (RFC 2250 section 2)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ntvmedia.errors import UsageError
from ntvmedia.formats.mpegts_serialiser import MPEGTSSerialiser
from ntvmedia.media import Codec, Packet
from ntvmedia.wire.rtp.mpegts import Depacketiser, packetise
from tests.wire.rtp import streams
from tests.wire.rtp.feeding import Feed


def program() -> bytes:
    """Mux two seconds of pictures and sound."""
    serialiser = MPEGTSSerialiser()
    serialiser.tracks_changed([streams.H264, streams.AAC], {}, 0)
    parts: list[bytes] = []
    for number in range(50):
        serialiser.packet(picture(number), parts)
        serialiser.packet(streams.aac(2 * number, [200], key=True), parts)
        serialiser.packet(streams.aac(2 * number + 1, [200], key=True), parts)
    return b"".join(parts)


def picture(number: int) -> Packet:
    """Make one picture of it."""
    return streams.h264(number, [3000], key=number % 25 == 0)


DATA = program()


def test_packetise() -> None:
    """Seven packets of 188 bytes go into one."""
    payloads = packetise(DATA)
    assert {len(payload) for payload in payloads[:-1]} == {1316}
    assert b"".join(payloads) == DATA
    assert len(packetise(DATA[:1316], 400)[0]) == 376
    for data, mtu in ((DATA[:100], 1440), (DATA, 187)):
        with pytest.raises(UsageError):
            packetise(data, mtu)


def test_both_tracks() -> None:
    """One RTP stream holds several tracks, whose times are those of MPEG-TS."""
    feed = Feed(Depacketiser({}))
    for number, payload in enumerate(packetise(DATA)):
        feed.give(number * 777, payload)
    feed.end()
    assert {track.codec for track in feed.tracks} == {Codec.H264, Codec.AAC}
    pictures = [packet for packet in feed.packets if packet.track.codec is Codec.H264]
    sound = [packet for packet in feed.packets if packet.track.codec is Codec.AAC]
    assert [packet.payload for packet in pictures] == [picture(n).payload for n in range(50)]
    assert {b.pts - a.pts for a, b in pairwise(pictures)} == {3600}
    assert len(sound) == 100
    assert feed.target.damaged == 0


def test_loss() -> None:
    """The counters of MPEG-TS tell what is missing; the rest goes on."""
    feed = Feed(Depacketiser({}))
    sent = {picture(n).payload for n in range(50)}
    for number, payload in enumerate(packetise(DATA)):
        if number % 20 == 5:
            feed.lose()
        else:
            feed.give(0, payload)
    feed.end()
    assert feed.target.damaged > 0
    pictures: list[Packet] = [x for x in feed.packets if x.track.codec is Codec.H264]
    assert 10 < len(pictures) < 50
    assert {packet.payload for packet in pictures} <= sent


def test_no_mpegts() -> None:
    """64 kB of something else: it begins anew, and reads what comes then."""
    feed = Feed(Depacketiser({}))
    for _packet in range(100):
        feed.give(0, bytes(1316))
    for payload in packetise(DATA):
        feed.give(0, payload)
    feed.end()
    assert len(feed.packets) == 150
