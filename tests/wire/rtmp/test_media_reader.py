"""Tests of media, data and aggregate messages."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import ECMAArray, Value
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.events import MediaEvent, MetadataReceived
from ntvmedia.wire.rtmp.media_reader import (
    MAX_METADATA_SIZE,
    MAX_TAGS_IN_AGGREGATE,
    MediaReader,
    split_aggregate,
)

DATA = MessageType.DATA_AMF0
TEXT = Track(Codec.AMF0, clock_rate=1000)


def data(*values: object, type_id: int = DATA, timestamp: int = 40) -> Sequence[MediaEvent]:
    """Read one data message with a new reader."""
    return MediaReader().media(type_id, timestamp, amf0.encode(*values))


@pytest.mark.parametrize(
    "values",
    [
        ("@setDataFrame", "onMetaData", ECMAArray({"width": 320.0})),
        ("onMetaData", {"width": 320.0}),
        (1.0, None, 7.5, "@setDataFrame", "onMetaData", {"width": 320.0}),
    ],
    ids=["FFmpeg", "bare", "A-AM-14: Uniview's numbers before the name"],
)
def test_metadata(values: tuple[object, ...]) -> None:
    """The fields come out as a plain dict, however they were wrapped."""
    assert data(*values) == (MetadataReceived({"width": 320.0}),)


def test_amf3_metadata() -> None:
    """A-AM-01: type 15 begins with a zero byte."""
    payload = amf0.encode("onMetaData", {"a": True})
    for prefix in (b"\x00", b""):
        events = MediaReader().media(MessageType.DATA_AMF3, 0, prefix + payload)
        assert events == (MetadataReceived({"a": True}),)


def test_metadata_that_lies() -> None:
    """A-AM-16: codecs that metadata names, in whatever form, make no tracks."""
    fields: dict[str, Value] = {"videocodecid": "hvc1", "audiocodecid": 15.0, "width": 1e300}
    assert data("onMetaData", fields) == (MetadataReceived(fields),)


def test_metadata_without_fields() -> None:
    """Nothing is known then."""
    assert data("onMetaData") == (MetadataReceived({}),)
    assert data("@clearDataFrame", "onMetaData") == (MetadataReceived({}),)


def test_large_metadata_is_dropped() -> None:
    """What is kept, and sent to everybody who joins, is bounded; the connection stays."""
    reader = MediaReader()
    fields = {"a": "x" * MAX_METADATA_SIZE}
    assert reader.media(DATA, 0, amf0.encode("onMetaData", fields)) == ()
    assert reader.dropped == 1
    assert str(MAX_METADATA_SIZE) in reader.last_problem


def test_metadata_that_grows_by_references() -> None:
    """60 kB in which one object with a long text is meant six times are too much."""
    head = amf0.encode("onMetaData") + b"\x03" + b"\x00\x01a" + amf0.encode({"t": "x" * 30000})
    # Object 0 is the outer one, object 1 holds the text.
    again = b"".join(b"\x00\x04%04d\x07\x00\x01" % index for index in range(5))
    reader = MediaReader()
    assert reader.media(DATA, 0, head + again + b"\x00\x00\x09") == ()
    assert "stands for more" in reader.last_problem


def test_other_data_is_a_track() -> None:
    """Texts, cue points and captions become packets of a data track, announced once."""
    reader = MediaReader()
    body = amf0.encode("onTextData", {"text": "hello"})
    assert reader.media(DATA, 40, body) == (TEXT, Packet(TEXT, 40, 40, True, body))
    wrapped = amf0.encode("@setDataFrame") + body
    assert reader.media(DATA, 80, wrapped) == (Packet(TEXT, 80, 80, True, body),)


def test_data_in_amf3_leaves_in_amf0() -> None:
    """Readers of FLV know no AMF3: the integer 7 becomes a number."""
    payload = b"\x00" + amf0.encode("onCuePoint") + b"\x11\x04\x07"
    events = MediaReader().media(MessageType.DATA_AMF3, 0, payload)
    assert isinstance(events[1], Packet)
    assert events[1].payload == amf0.encode("onCuePoint", 7.0)


def test_data_that_amf0_cannot_say() -> None:
    """A byte array of AMF3 is dropped and counted."""
    reader = MediaReader()
    payload = b"\x00" + amf0.encode("onCuePoint") + b"\x11\x0c\x05ab"
    assert reader.media(MessageType.DATA_AMF3, 0, payload) == ()
    assert reader.dropped == 1


@pytest.mark.parametrize("name", ["|RtmpSampleAccess", "onStatus"])
def test_data_about_the_connection(name: str) -> None:
    """What other servers send around a stream is not in it."""
    assert data(name, True, True) == ()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x02", amf0.encode(1.0), amf0.encode("@setDataFrame"), b"\x02\xff\xffab", b"\x42"],
)
def test_broken_data(payload: bytes) -> None:
    """A-AM-04: a data message that is no AMF is passed over, and the next one read."""
    reader = MediaReader()
    assert reader.media(DATA, 0, payload) == ()
    assert reader.media(DATA, 0, amf0.encode("onMetaData")) == (MetadataReceived({}),)


@pytest.mark.parametrize("kind", [MessageType.AUDIO, MessageType.VIDEO, DATA])
def test_empty_messages(kind: MessageType) -> None:
    """A-CK-16, A-MD-20: no bytes, as for silence, are nothing and no error."""
    reader = MediaReader()
    assert list(reader.media(kind, 0, b"")) == []
    assert reader.dropped == 0


def test_empty_aac_header() -> None:
    """A-CK-16: an AAC sequence header without a configuration announces nothing."""
    reader = MediaReader()
    assert list(reader.media(MessageType.AUDIO, 0, b"\xaf\x00")) == []


def tag(kind: int, timestamp: int, body: bytes) -> bytes:
    """Return an FLV tag with its back pointer."""
    size = len(body).to_bytes(3, "big")
    time = (timestamp & 0xFFFFFF).to_bytes(3, "big") + bytes((timestamp >> 24 & 0xFF,))
    return bytes((kind,)) + size + time + bytes(3) + body + (len(body) + 11).to_bytes(4, "big")


def test_aggregate() -> None:
    """A-MD-12: times are the message's plus the distance from the first tag."""
    payload = tag(8, 1000, b"a") + tag(9, 1040, b"v") + tag(18, 980, b"d")
    assert list(split_aggregate(5, payload)) == [(8, 5, b"a"), (9, 45, b"v"), (18, -15, b"d")]


def test_aggregate_wraps() -> None:
    """A-MD-12: the tags' own times may pass 2**32 in between."""
    payload = tag(8, 0xFFFFFFF6, b"a") + tag(8, 10, b"b")
    assert list(split_aggregate(7000, payload)) == [(8, 7000, b"a"), (8, 7020, b"b")]


def test_truncated_aggregate() -> None:
    """A-MD-12: what is cut off is dropped, what came before is not; no back pointer is needed."""
    whole = tag(8, 0, b"audio") + tag(9, 0, b"video")
    for end in range(20, len(whole) - 4):
        assert list(split_aggregate(0, whole[:end])) == [(8, 0, b"audio")]
    assert len(list(split_aggregate(0, whole[:-4]))) == 2


def test_aggregate_is_bounded() -> None:
    """A message of nothing but empty tags becomes no more events than there may be."""
    payload = tag(8, 0, b"") * (MAX_TAGS_IN_AGGREGATE + 10)
    assert len(list(split_aggregate(0, payload))) == MAX_TAGS_IN_AGGREGATE


def test_aggregate_in_aggregate() -> None:
    """One within another is left out: the depth is one."""
    payload = tag(22, 0, tag(8, 0, b"a")) + tag(8, 3, b"b")
    assert list(split_aggregate(0, payload)) == [(8, 3, b"b")]


def test_media_of_an_aggregate() -> None:
    """Its tags are read like messages."""
    config = b"\xaf\x00\x12\x10"
    payload = tag(8, 500, config) + tag(8, 523, b"\xaf\x01frame")
    track, packet = MediaReader().media(MessageType.AGGREGATE, 100, payload)
    assert isinstance(track, Track)
    assert isinstance(packet, Packet)
    assert track.config == b"\x12\x10"
    assert packet.payload == b"frame"
    assert math.isclose(packet.dts / track.clock_rate, 0.123, abs_tol=0.001)


@given(st.sampled_from(list(MessageType)), st.integers(-5, 1 << 33), st.binary(max_size=80))
def test_nothing_raises(kind: MessageType, timestamp: int, payload: bytes) -> None:
    """Law 2 for one stream: whatever a message holds, it is read or counted."""
    reader = MediaReader()
    list(reader.media(kind, timestamp, payload))
    assert reader.dropped >= 0


@given(st.binary(max_size=60), st.binary(max_size=30))
def test_nothing_raises_behind_a_name(values: bytes, tail: bytes) -> None:
    """The same for data messages that begin well."""
    for name in ("onMetaData", "onTextData", "@setDataFrame"):
        for kind in (MessageType.DATA_AMF0, MessageType.DATA_AMF3):
            MediaReader().media(kind, 0, amf0.encode(name) + values + tail)
