"""Golden bytes of what servers answer."""

from __future__ import annotations

from ntvmedia.formats import amf0
from ntvmedia.wire.rtmp import commands
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message
from ntvmedia.wire.rtmp.writer import set_chunk_size


def test_create_stream_answer() -> None:
    """RTMP 1.0 7.2.1.3: `_result`, the call's number, null, the id."""
    expected = (
        "03000000 00001d 14 00000000020007 5f726573756c7400 40100000000000000500 3ff0000000000000"
    )
    assert commands.created(4.0, 1, chunk_size=128) == bytes.fromhex(expected)


def test_preamble() -> None:
    """RTMP 1.0 5.4: window acknowledgement size, peer bandwidth (dynamic), chunk size."""
    expected = (
        "02000000 000004 05 00000000 002625a0"
        "02000000 000005 06 00000000 002625a0 02"
        "02000000 000004 01 00000000 0000ea60"
    )
    assert commands.connect_preamble(2_500_000, 60_000) == bytes.fromhex(expected)


def test_status_is_on_its_stream() -> None:
    """RTMP 1.0 7.2.2: `onStatus` with number 0 on the message stream that it is about."""
    sent = commands.status(5, "NetStream.Play.Failed", "no", "error", chunk_size=128)
    (message,) = read(sent)
    assert message.message_stream_id == 5
    assert amf0.decode(message.payload) == [
        "onStatus",
        0.0,
        None,
        {"level": "error", "code": "NetStream.Play.Failed", "description": "no"},
    ]


def test_connected_is_the_same_for_everybody_but_its_number() -> None:
    """The constant parts around the number of the call make a good message."""
    for transaction in (1.0, 0.0, 77.5):
        sent = commands.connected(transaction, 3, enhanced=False, chunk_size=60000)
        values = amf0.decode(read(sent, 60000)[0].payload)
        assert values[:2] == ["_result", transaction]
        assert values[2] == {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31.0, "mode": 1.0}
        assert values[3] == {
            "level": "status",
            "code": "NetConnection.Connect.Success",
            "description": "Connection succeeded.",
            "objectEncoding": 3.0,
        }


def test_descriptions_are_short() -> None:
    """Text of the peer's cannot be made to come back by the megabyte."""
    info = commands.status_object("NetStream.Play.Failed", "x" * 100_000)
    assert len(str(info["description"])) == commands.MAX_DESCRIPTION


def test_play_start_by_messages() -> None:
    """StreamBegin, Reset, Start, then what Flash's servers add."""
    messages = read(commands.play_started(1, 60000), 60000)
    assert [message.type_id for message in messages] == [4, 20, 20, 18, 18]
    assert messages[0].payload == bytes.fromhex("000000000001")
    codes = [amf0.decode(message.payload)[-1] for message in messages[1:3]]
    assert [info["code"] for info in codes if isinstance(info, dict)] == [
        "NetStream.Play.Reset",
        "NetStream.Play.Start",
    ]
    assert amf0.decode(messages[3].payload) == ["|RtmpSampleAccess", True, True]
    assert {message.message_stream_id for message in messages[1:]} == {1}


def read(data: bytes, chunk_size: int = 128) -> list[Message]:
    """Read messages that were written with a chunk size."""
    reader = ChunkReader()
    reader.receive_data(set_chunk_size(chunk_size) + data)
    messages = []
    while (message := reader.next_message()) is not None:
        messages.append(message)
    assert reader.buffered == 0
    return messages
