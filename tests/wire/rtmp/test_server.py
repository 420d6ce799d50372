"""Tests of a server's session as a whole: real clients, requests and answers, both laws."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.formats import amf0
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.events import (
    Connected,
    MetadataReceived,
    PlayRequested,
    PublishRequested,
    ServerEvent,
    Unpublished,
)
from ntvmedia.wire.rtmp.server import MAX_WAITING, ServerSession
from tests.wire.rtmp import traces
from tests.wire.rtmp.conversation import (
    CLOSING,
    CONNECT,
    CREATE_STREAM,
    GREETING,
    HANDSHAKE,
    PLAY,
    PUBLISH,
    RANDOM,
    Conversation,
    accept,
    code_of,
    command,
    connect,
    connected,
    leave_waiting,
    message,
    pieces,
    playing,
    publishing,
)

AUDIO: Final = MessageType.AUDIO
VIDEO: Final = MessageType.VIDEO
AAC_HEADER: Final = b"\xaf\x00\x12\x10"
AAC_FRAME: Final = b"\xaf\x01frame"
AAC: Final = Track(Codec.AAC, clock_rate=44100, config=b"\x12\x10", channels=2)
SOUND: Final = message(AUDIO, AAC_HEADER, stream_id=1) + message(
    AUDIO, AAC_FRAME, stream_id=1, timestamp=100
)


def frame(timestamp: int) -> Packet:
    """Return what `AAC_FRAME` becomes."""
    ticks = (timestamp * 44100 + 500) // 1000
    return Packet(AAC, ticks, ticks, True, b"frame")


# Real clients


@pytest.mark.parametrize(
    ("trace", "name", "codecs"),
    [
        (traces.FFMPEG_PUBLISH, "a?k=1", {Codec.H264, Codec.AAC}),
        (traces.GSTREAMER_PUBLISH, "g", {Codec.H264, Codec.AAC}),
        (traces.LIBRTMP_PUBLISH, "g1", {Codec.H264}),
        (traces.FFMPEG_9_PUBLISH, "h", set()),
    ],
    ids=["FFmpeg 5", "GStreamer rtmp2sink", "librtmp", "FFmpeg 9"],
)
def test_real_publishers(trace: bytes, name: str, codecs: set[Codec]) -> None:
    """A-AM-08, A-AM-16: what they send is understood, and each call of theirs is answered."""
    conversation = Conversation()
    events = conversation.say(HANDSHAKE, trace)
    first, request, metadata, *media = events
    assert isinstance(first, Connected)
    assert request == PublishRequested(1, "live", name, "live", "rtmp://127.0.0.1:43695/live")
    assert isinstance(metadata, MetadataReceived)
    assert metadata.fields["width"] == 320.0
    assert {event.codec for event in media if isinstance(event, Track)} == codecs
    assert len(media) == len(codecs)
    answers = conversation.answers()
    assert code_of(answers[0]) == "NetConnection.Connect.Success"
    assert code_of(answers[-1]) == "NetStream.Publish.Start"
    assert "_error" not in {answer[0] for answer in answers}
    assert conversation.session.dropped == 0
    assert conversation.session.ignored == 0


@pytest.mark.parametrize(
    ("trace", "name", "start"),
    [
        (traces.FFMPEG_PLAY, "a?k=1", -2),
        (traces.RTMPDUMP_PLAY, "a?k=1", -1),
        (traces.GSTREAMER_PLAY, "g", -2),
    ],
    ids=["FFmpeg 5", "rtmpdump", "GStreamer rtmp2src"],
)
def test_real_players(trace: bytes, name: str, start: int) -> None:
    """They get to Play.Start, and nothing of theirs is an error."""
    conversation = Conversation()
    events = conversation.say(HANDSHAKE, trace)
    assert events[1] == PlayRequested(
        1, "live", name, "rtmp://127.0.0.1:43695/live", "", start=start
    )
    answers = conversation.answers()
    assert "_error" not in {answer[0] for answer in answers}
    codes = [answer[3]["code"] for answer in answers if answer[0] == "onStatus"]
    assert codes == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert conversation.session.ignored == 0


def test_order_of_obs() -> None:
    """OBS (librtmp): its chunk size right after connecting, then as FFmpeg, and FCUnpublish."""
    conversation = Conversation()
    events = conversation.say(
        HANDSHAKE,
        connect(type="nonprivate", flashVer="FMLE/3.0 (compatible; FMSc/1.0)", capsEx=1.0),
        bytes.fromhex("02000000 000004 01 00000000 00001000"),
        command("releaseStream", 2.0, None, "key"),
        command("FCPublish", 3.0, None, "key"),
        command("createStream", 4.0, None),
        command("publish", 5.0, None, "key", "live", stream_id=1),
        SOUND,
        command("FCUnpublish", 6.0, None, "key"),
        command("deleteStream", 7.0, None, 1.0),
    )
    assert events[2:] == [AAC, frame(100), Unpublished(1)]
    assert conversation.session.can_reconnect


def test_first_message_without_stream_id() -> None:
    """A-CK-07: librtmp's ping begins its chunk stream with a type 1 header."""
    conversation = connected()
    conversation.say(bytes.fromhex("42 000000 000006 04 0006 00000007"))
    assert conversation.messages()[0].payload == bytes.fromhex("000700000007")


def test_handshake_and_commands_in_one_segment() -> None:
    """A-HS-06: C2 with all that follows."""
    conversation = Conversation()
    assert conversation.say(GREETING) == []
    events = conversation.say(CLOSING, CONNECT, CREATE_STREAM, PUBLISH)
    assert [type(event) for event in events] == [Connected, PublishRequested]


@pytest.mark.parametrize("first", [b"\x06", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n"])
def test_other_protocols(first: bytes) -> None:
    """A-HS-08: closed at the first byte with a reason."""
    conversation = Conversation()
    with pytest.raises(PeerError):
        conversation.say(first)
    with pytest.raises(UsageError):
        conversation.run()


# Requests


def test_nothing_goes_on_while_a_request_waits() -> None:
    """A-SE-05: what a publisher sends too early is kept, and read after its acceptance."""
    conversation = connected(answer=leave_waiting)
    events = conversation.say(CREATE_STREAM, PUBLISH, SOUND)
    assert [type(event) for event in events] == [PublishRequested]
    assert conversation.session.buffered == len(SOUND)
    assert [answer[0] for answer in conversation.answers()] == ["_result"]
    assert conversation.say(SOUND) == []
    assert conversation.session.buffered == 2 * len(SOUND)
    conversation.session.accept_publish()
    assert conversation.run() == [AAC, frame(100), frame(100)]
    assert code_of(conversation.answers()[0]) == "NetStream.Publish.Start"


def test_start_only_after_acceptance() -> None:
    """A-SE-05: a publisher that is refused never sees Publish.Start."""
    conversation = connected(answer=leave_waiting)
    conversation.say(CREATE_STREAM, PUBLISH)
    conversation.session.reject("NetStream.Publish.BadName", "wrong key")
    created, refused = conversation.answers()
    assert created[0] == "_result"
    assert refused[3] == {
        "level": "error",
        "code": "NetStream.Publish.BadName",
        "description": "wrong key",
    }
    assert conversation.say(SOUND) == []


def test_too_much_while_a_request_waits() -> None:
    """An owner that goes on reading is stopped."""
    conversation = connected(answer=leave_waiting)
    conversation.say(CREATE_STREAM, PUBLISH)
    block = bytes(1 << 20)
    for _ in range(MAX_WAITING >> 20):
        conversation.say(block)
    with pytest.raises(LimitExceeded):
        conversation.say(block)


def test_answers_without_a_request() -> None:
    """An owner that answers what was not asked has a bug."""
    session = connected(answer=leave_waiting).session
    for answer in (
        session.accept_publish,
        session.accept_play,
        lambda: session.reject("NetStream.Play.Failed", ""),
        lambda: session.stop_publish("NetStream.Publish.BadName", ""),
        lambda: session.stop_play("NetStream.Play.Complete", ""),
    ):
        with pytest.raises(UsageError):
            answer()


def test_wrong_answer() -> None:
    """The other kind of answer is a bug too, and the request still waits."""
    conversation = connected(answer=leave_waiting)
    conversation.say(CREATE_STREAM, PLAY)
    with pytest.raises(UsageError):
        conversation.session.accept_publish()
    conversation.session.accept_play()
    conversation = connected(answer=leave_waiting)
    conversation.say(CREATE_STREAM, PUBLISH)
    with pytest.raises(UsageError):
        conversation.session.accept_play()
    conversation.session.accept_publish()


def test_refused_play_then_another() -> None:
    """An owner need not close: the client may ask for something else."""

    def second_only(session: ServerSession, event: ServerEvent) -> None:
        if isinstance(event, PlayRequested):
            if event.name == "test":
                session.reject("NetStream.Play.StreamNotFound", "no such stream")
            else:
                session.accept_play()

    conversation = connected(answer=second_only)
    events = conversation.say(CREATE_STREAM, PLAY, command("play", 0.0, None, "b", stream_id=1))
    assert [type(event) for event in events] == [PlayRequested, PlayRequested]
    assert [answer[3]["code"] for answer in conversation.answers()[1:]] == [
        "NetStream.Play.StreamNotFound",
        "NetStream.Play.Reset",
        "NetStream.Play.Start",
    ]


def test_end_of_a_play() -> None:
    """The reason, StreamEOF, Play.Stop, all on the stream's id; and only once."""
    conversation = playing()
    conversation.session.stop_play("NetStream.Play.UnpublishNotify", "the stream is over")
    sent = conversation.messages()
    assert [one.type_id for one in sent] == [20, 4, 20]
    assert sent[1].payload == bytes.fromhex("000100000001")
    values: Any = [amf0.decode(one.payload) for one in sent if one.type_id == 20]
    assert [code_of(one) for one in values] == [
        "NetStream.Play.UnpublishNotify",
        "NetStream.Play.Stop",
    ]
    with pytest.raises(UsageError):
        conversation.session.stop_play("NetStream.Play.UnpublishNotify", "")
    assert [type(event) for event in conversation.say(PLAY)] == [PlayRequested]


@pytest.mark.parametrize(
    ("code", "level"),
    [("NetStream.Publish.BadName", "error"), ("NetStream.Unpublish.Success", "status")],
)
def test_end_of_a_publish(code: str, level: str) -> None:
    """A publisher that is sent away is told why; what it still sends is dropped."""
    conversation = publishing()
    conversation.session.stop_publish(code, "gone")
    ((_name, _transaction, _object, info),) = conversation.answers()
    assert (info["code"], info["level"]) == (code, level)
    assert conversation.say(SOUND, command("FCUnpublish", 6.0, None, "test")) == []


def test_reconnect_request() -> None:
    """A-ER-10: to who announced it, with the address if there is another, and nothing changes."""
    conversation = Conversation()
    conversation.say(HANDSHAKE, connect(capsEx=1.0), CREATE_STREAM, PUBLISH)
    conversation.messages()
    assert conversation.session.request_reconnect("/live", "moving")
    assert conversation.session.request_reconnect("", "moving")
    assert conversation.answers() == [
        [
            "onStatus",
            0.0,
            None,
            {
                "level": "status",
                "code": "NetConnection.Connect.ReconnectRequest",
                "description": "moving",
                **more,
            },
        ]
        for more in ({"tcUrl": "/live"}, {})
    ]
    assert conversation.say(SOUND) == [AAC, frame(100)]


def test_no_reconnect_request() -> None:
    """A-ER-10: who did not announce it is sent nothing."""
    conversation = publishing()
    assert not conversation.session.request_reconnect("", "moving")
    assert conversation.messages() == []


# Media


def test_media_before_publish() -> None:
    """It is nobody's."""
    conversation = connected()
    assert conversation.say(CREATE_STREAM, SOUND) == []
    assert conversation.session.ignored == 2


@pytest.mark.parametrize("stream_id", [0, 5, 1 << 24])
def test_media_on_another_stream_id(stream_id: int) -> None:
    """Encoders that leave the id out, or make one up, mean the one stream that there is."""
    conversation = publishing()
    events = conversation.say(
        message(AUDIO, AAC_HEADER, stream_id=stream_id),
        message(AUDIO, AAC_FRAME, stream_id=stream_id, timestamp=100),
        message(MessageType.DATA_AMF0, amf0.encode("onMetaData", {}), stream_id=stream_id),
    )
    assert events == [AAC, frame(100), MetadataReceived({})]


def test_media_of_a_stream_that_is_not_published() -> None:
    """One that was asked for, but is not published, is not meant."""
    conversation = publishing()
    conversation.say(CREATE_STREAM)
    assert conversation.say(message(AUDIO, AAC_HEADER, stream_id=2)) == []


def test_nothing_is_left_of_the_publish_before() -> None:
    """A-AM-19, A-SE-07: the second stream of a connection begins without the first one's codecs."""
    conversation = publishing()
    assert conversation.say(SOUND)[0] == AAC
    assert conversation.say(command("closeStream", 0.0, None, stream_id=1)) == [Unpublished(1)]
    events = conversation.say(PUBLISH, message(AUDIO, AAC_FRAME, stream_id=1))
    assert [type(event) for event in events] == [PublishRequested]
    assert conversation.session.dropped == 1
    assert conversation.session.last_problem != ""


def test_repeated_sequence_header() -> None:
    """A-AM-17, A-MD-05: the same again is nothing."""
    conversation = publishing()
    assert conversation.say(SOUND, SOUND) == [AAC, frame(100), frame(100)]


def test_silence_and_empty_messages() -> None:
    """A-CK-16, A-MD-20: messages without a body are passed over."""
    conversation = publishing()
    empty = [message(kind, b"", stream_id=1) for kind in (AUDIO, VIDEO, MessageType.DATA_AMF0)]
    assert conversation.say(*empty, SOUND, *empty) == [AAC, frame(100)]
    assert conversation.session.dropped == 0


def test_aggregate_of_the_published_stream() -> None:
    """A-MD-12: its tags come out as if they had come alone."""
    tags = b"".join(
        bytes((8, 0, 0, len(body), 0, 0, time, 0, 0, 0, 0)) + body + bytes(4)
        for time, body in ((10, AAC_HEADER), (33, AAC_FRAME))
    )
    conversation = publishing()
    events = conversation.say(message(MessageType.AGGREGATE, tags, stream_id=1, timestamp=1000))
    assert events == [AAC, frame(1023)]


def test_media_the_short_way() -> None:
    """`receive_media` gives what `events` give, up to the first thing that is not media."""
    conversation = publishing()
    session = conversation.session
    got: list[object] = []
    assert session.receive_media(SOUND, got.append, got.append)
    assert got == [AAC, frame(100)]
    stop = command("closeStream", 0.0, None, stream_id=1)
    assert not session.receive_media(SOUND + stop + SOUND, got.append, got.append)
    assert got == [AAC, frame(100), frame(100)]
    assert conversation.run() == [Unpublished(1)]
    assert not session.receive_media(SOUND, got.append, got.append)
    assert conversation.run() == []
    assert len(got) == 3


def test_the_short_way_before_its_time() -> None:
    """Where there is something else, or nothing is published, it only takes the bytes."""
    session = ServerSession(RANDOM)
    got: list[object] = []
    assert not session.receive_media(HANDSHAKE + CONNECT, got.append, got.append)
    assert [type(event) for event in session.events()] == [Connected]
    assert not session.receive_media(CREATE_STREAM + PUBLISH + SOUND, got.append, got.append)
    assert [type(event) for event in session.events()] == [PublishRequested]
    assert not session.receive_media(SOUND, got.append, got.append)
    session.accept_publish()
    assert list(session.events()) == [AAC, frame(100), frame(100)]
    assert got == []


def test_sent_away_on_the_short_way() -> None:
    """A callback may end the publish: the rest of the bytes is not handed on."""
    session = publishing().session
    got: list[Packet] = []

    def deliver(packet: Packet) -> None:
        got.append(packet)
        session.stop_publish("NetStream.Publish.BadName", "make room")

    assert not session.receive_media(SOUND + SOUND, deliver, lambda track: None)
    assert len(got) == 1
    assert list(session.events()) == []


def test_errors_on_the_short_way() -> None:
    """Broken chunks raise there as well, after what was good."""
    session = publishing().session
    got: list[object] = []
    with pytest.raises(PeerError):
        session.receive_media(SOUND + b"\xff\xff", got.append, got.append)
    assert got == [AAC, frame(100)]
    with pytest.raises(UsageError):
        session.receive_media(b"", got.append, got.append)


# The two laws

PARTS: Final = (
    CREATE_STREAM,
    PUBLISH,
    PLAY,
    SOUND,
    command("closeStream", 0.0, None, stream_id=1),
    command("deleteStream", 0.0, None, 1.0),
    command("FCUnpublish", 4.0, None, "test"),
    command("pause", 0.0, None, True, 10.0, stream_id=1),
    message(MessageType.DATA_AMF0, amf0.encode("onMetaData", {"a": 1.0}), stream_id=1),
    bytes.fromhex("02000000 000004 01 00000000 00001000"),
    traces.FFMPEG_9_PUBLISH[183:],
)


def heard(parts: list[bytes]) -> tuple[list[ServerEvent], str, bytes]:
    """Return the events, the error, and what was answered, of bytes that come in pieces."""
    session = ServerSession(RANDOM)
    events: list[ServerEvent] = []
    error = ""
    try:
        for part in parts:
            session.receive_data(part)
            for event in session.events():
                events.append(event)
                accept(session, event)
    except PeerError as broken:
        error = str(broken)
    return events, error, session.data_to_send()


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PARTS), max_size=8), st.binary(max_size=30), st.data())
def test_cuts_do_not_matter(good: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """A-HS-04, law 1: however bytes are cut, the same events, the same error, the same answers."""
    stream = HANDSHAKE + CONNECT + b"".join(good) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    near_the_end = data.draw(st.lists(st.integers(3073, len(stream)), max_size=6))
    assert heard(pieces(stream, cuts + near_the_end)) == heard([stream])


def test_byte_by_byte() -> None:
    """A-HS-04: the extreme case."""
    stream = HANDSHAKE + traces.GSTREAMER_PUBLISH
    assert heard(pieces(stream, range(len(stream)))) == heard([stream])


@settings(max_examples=60)
@given(st.binary(max_size=200), st.booleans())
def test_only_documented_errors(junk: bytes, is_connected: bool) -> None:
    """Law 2: random chunks raise nothing but PeerError."""
    heard([HANDSHAKE + (CONNECT if is_connected else b"") + junk])


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(MessageType)),
    st.binary(max_size=100),
    st.integers(0, 3),
    st.sampled_from(
        [
            b"",
            *(
                amf0.encode(name, 1.0, None)
                for name in (
                    "connect",
                    "publish",
                    "play",
                    "play2",
                    "seek",
                    "deleteStream",
                    "onMetaData",
                    "pause",
                )
            ),
        ]
    ),
)
def test_only_documented_errors_for_messages(
    kind: MessageType, junk: bytes, stream_id: int, head: bytes
) -> None:
    """Law 2 behind the chunks: whole messages of junk, in every state."""
    said = message(kind, head + junk, stream_id=stream_id)
    for state in (b"", CONNECT, CONNECT + CREATE_STREAM + PUBLISH, CONNECT + PLAY):
        heard([HANDSHAKE + state + said + said])
