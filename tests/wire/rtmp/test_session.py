"""Tests of what both ends do alike: acknowledgements, pings, control messages, deadlines."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.server import ServerSession
from ntvmedia.wire.rtmp.session import FMLE_ACK_MODULUS, MIN_ACK_STEP
from tests.wire.rtmp.conversation import (
    CONNECT,
    CREATE_STREAM,
    GREETING,
    HANDSHAKE,
    PUBLISH,
    RANDOM,
    Conversation,
    connected,
    leave_waiting,
    message,
    playing,
    publishing,
)

ACK = MessageType.ACKNOWLEDGEMENT
PING = writer.ping_request(77)


def acks(conversation: Conversation) -> list[int]:
    """Return the sequence numbers of the acknowledgements that were sent."""
    return [
        int.from_bytes(sent.payload, "big")
        for sent in conversation.messages()
        if sent.type_id == ACK
    ]


def test_acknowledgements_at_half_the_window() -> None:
    """Encoders that wait for an acknowledgement after a whole window never get to that."""
    conversation = connected()
    conversation.say(writer.window_ack_size(20_000))
    before = conversation.session.received
    filler = message(MessageType.DATA_AMF0, b"", stream_id=1)
    sent: list[int] = []
    while not sent:
        conversation.say(filler * 10)
        sent = acks(conversation)
    assert sent == [conversation.session.received]
    assert 10_000 - before <= sent[0] <= 10_000 + before + 10 * len(filler)
    assert acks(conversation) == []


@pytest.mark.parametrize("window", [1, 2, 100, MIN_ACK_STEP])
def test_tiny_window(window: int) -> None:
    """A-CK-18: with a window of 1 there is one acknowledgement in 4 KiB all the same."""
    conversation = connected()
    conversation.say(writer.window_ack_size(window))
    conversation.messages()
    sent = 0
    start = conversation.session.received
    while conversation.session.received < start + 40 * MIN_ACK_STEP:
        conversation.say(PING)
        sent += len(acks(conversation))
    assert 35 <= sent <= 41


def test_window_of_nothing() -> None:
    """A-CK-18: 0 turns acknowledgements off."""
    conversation = connected(window_ack_size=10_000)
    conversation.say(writer.window_ack_size(0))
    conversation.messages()
    for _ in range(100):
        conversation.say(PING * 100)
    assert acks(conversation) == []


@pytest.mark.parametrize("start", [(1 << 31) - 100, 0xF0000000 - 100, (1 << 32) - 100])
def test_long_connections(start: int) -> None:
    """A-CK-17: bytes are acknowledged modulo 2**32, in ascending order but for the wrap."""
    conversation = connected(window_ack_size=2 * MIN_ACK_STEP)
    session = conversation.session
    session._received = session._acknowledged = start
    sent = []
    for _ in range(400):
        conversation.say(PING * 10)
        sent += acks(conversation)
    assert len(sent) > 10
    steps = [(b - a) % (1 << 32) for a, b in pairwise(sent)]
    assert all(MIN_ACK_STEP <= step < 2 * MIN_ACK_STEP for step in steps)
    assert (session.received - sent[-1]) % (1 << 32) < MIN_ACK_STEP


def test_flash_media_live_encoder() -> None:
    """A-CK-17: it wants to be counted modulo 0xF0000000."""
    conversation = connected(window_ack_size=2 * MIN_ACK_STEP, ack_modulus=FMLE_ACK_MODULUS)
    conversation.session._received = FMLE_ACK_MODULUS - 10
    conversation.session._acknowledged = FMLE_ACK_MODULUS - 10
    conversation.say(PING * 1000)
    assert acks(conversation) == [conversation.session.received - FMLE_ACK_MODULUS]
    assert conversation.session.received > FMLE_ACK_MODULUS


def test_ping_is_answered() -> None:
    """A-CK-20: with the same four bytes."""
    conversation = connected()
    conversation.say(writer.ping_request(0xDEADBEEF))
    (answer,) = conversation.messages()
    assert answer.type_id == MessageType.USER_CONTROL
    assert answer.payload == bytes.fromhex("0007deadbeef")


@pytest.mark.parametrize("chunk_stream_id", [2, 3, 5, 6, 64])
def test_control_on_any_chunk_stream(chunk_stream_id: int) -> None:
    """A-CK-10: control messages count wherever they come from."""
    conversation = connected()
    payload = bytes.fromhex("000600000001")
    conversation.say(message(MessageType.USER_CONTROL, payload, chunk_stream_id=chunk_stream_id))
    assert conversation.messages()[0].payload == bytes.fromhex("000700000001")


@pytest.mark.parametrize(
    "odd",
    [
        *(writer.user_control(event, 1) for event in (0, 1, 2, 4, 7, 31, 32, 33, 500)),
        writer.set_buffer_length(1, 3000),
        writer.user_control(writer.UserControl.PING_REQUEST),
        *(
            message(kind, b"what is this?")
            for kind in (0, 7, 16, 19, 21, 23, 99, 255, *(MessageType.AGGREGATE,))
        ),
        message(MessageType.WINDOW_ACK_SIZE, b"\x01"),
        message(MessageType.USER_CONTROL, b""),
        writer.acknowledgement(5),
        writer.set_peer_bandwidth(5000),
    ],
)
def test_what_is_not_known_is_passed_over(odd: bytes) -> None:
    """A-CK-22: unknown events and message types change nothing."""
    conversation = connected()
    assert conversation.say(odd) == []
    assert conversation.messages() == []
    assert conversation.say(CREATE_STREAM) == []
    assert len(conversation.messages()) == 1


def test_unknown_types_are_counted() -> None:
    """A-CK-22: for a line in a debug log."""
    conversation = connected()
    conversation.say(message(99, b""), message(7, b"abcd"))
    assert conversation.session.ignored == 2


@pytest.mark.parametrize("said", [b"", GREETING[:1], GREETING, HANDSHAKE, HANDSHAKE + CONNECT[:9]])
def test_stalled_handshake(said: bytes) -> None:
    """A-HS-09: who does not get as far as `connect` is closed, and not before the deadline."""
    conversation = Conversation(now=100.0)
    conversation.say(said)
    conversation.session.handle_timeout(114.9)
    with pytest.raises(PeerError, match="not connected after 15 s"):
        conversation.session.handle_timeout(115.0)
    with pytest.raises(UsageError):
        conversation.session.handle_timeout(116.0)


def test_trickling_handshake() -> None:
    """F-RE-04: a byte now and then does not move the deadline."""
    session = ServerSession(RANDOM, 0.0)
    for second in range(15):
        session.receive_data(GREETING[second : second + 1])
        assert list(session.events()) == []
        session.handle_timeout(float(second))
    with pytest.raises(PeerError, match="not connected"):
        session.handle_timeout(15.0)


def test_silent_player() -> None:
    """A-CK-21: pinged after 30 s, gone after 30 more."""
    conversation = playing()
    session = conversation.session
    session.handle_timeout(1.0)
    for second in range(2, 30):
        session.handle_timeout(float(second))
        assert conversation.messages() == []
    session.handle_timeout(30.0)
    (ping,) = conversation.messages()
    assert ping.payload == bytes.fromhex("0006") + (30_000).to_bytes(4, "big")
    session.handle_timeout(59.0)
    assert conversation.messages() == []
    with pytest.raises(PeerError, match="no answer to a ping for 30 s"):
        session.handle_timeout(60.0)


def test_player_that_answers() -> None:
    """Any bytes are a sign of life, the ping's answer first."""
    conversation = playing()
    session = conversation.session
    pings = 0
    for second in range(1, 200):
        session.handle_timeout(float(second))
        for sent in conversation.messages():
            pings += 1
            conversation.say(writer.ping_response(int.from_bytes(sent.payload[2:], "big")))
    assert 5 <= pings <= 7


def test_ping_of_the_owner() -> None:
    """`ping` sends one at once, stamped in milliseconds modulo 2**32."""
    conversation = playing()
    conversation.session.ping(5_000_000.5)
    payload = conversation.messages()[0].payload
    assert payload[2:] == (5_000_000_500 % (1 << 32)).to_bytes(4, "big")


def test_idle_connection() -> None:
    """One that neither publishes nor plays is closed, however it chatters."""
    conversation = connected()
    for second in range(1, 30):
        conversation.say(PING)
        conversation.session.handle_timeout(float(second))
    with pytest.raises(PeerError, match="neither published nor played for 30 s"):
        conversation.session.handle_timeout(30.0)


def test_publisher_is_not_idle() -> None:
    """Nor is one that waits for its answer; after it stops the time begins."""
    conversation = connected(answer=leave_waiting)
    conversation.say(CREATE_STREAM, PUBLISH)
    session = conversation.session
    for second in range(1, 40):
        session.handle_timeout(float(second))
    session.accept_publish()
    for second in range(40, 100):
        conversation.say(PING)
        session.handle_timeout(float(second))
    session.stop_publish("NetStream.Publish.BadName", "make room")
    for second in range(100, 130):
        conversation.say(PING)
        session.handle_timeout(float(second))
    with pytest.raises(PeerError, match="neither"):
        session.handle_timeout(130.0)


def test_deadlines_are_settings() -> None:
    """Each can be another one."""
    with pytest.raises(PeerError, match="after 2 s"):
        ServerSession(RANDOM, 0.0, handshake_seconds=2.0).handle_timeout(2.0)
    with pytest.raises(PeerError, match="for 7 s"):
        connected(idle_seconds=7.0).session.handle_timeout(7.0)
    conversation = publishing(ping_seconds=3.0, ping_timeout_seconds=4.0)
    conversation.session.handle_timeout(1.0)
    conversation.session.handle_timeout(4.0)
    assert len(conversation.messages()) == 1
    with pytest.raises(PeerError, match="for 4 s"):
        conversation.session.handle_timeout(8.0)


def test_next_timeout() -> None:
    """It asks for a call a second after the last."""
    session = ServerSession(RANDOM, 50.0)
    assert session.next_timeout() == 51.0
    session.handle_timeout(51.5)
    assert session.next_timeout() == 52.5
