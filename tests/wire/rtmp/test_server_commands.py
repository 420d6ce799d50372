"""Tests of what a server does at each call, and of what it answers."""

from __future__ import annotations

import pytest

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import amf0
from ntvmedia.media import Codec, MediaKind
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.events import (
    Connected,
    ConnectRefused,
    PauseRequested,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    ReceiveRequested,
    SeekRequested,
    ServerEvent,
    Unpublished,
)
from ntvmedia.wire.rtmp.server import ServerSession
from ntvmedia.wire.rtmp.streams import MAX_STREAMS
from ntvmedia.wire.rtmp.writer import set_chunk_size
from tests.wire.rtmp.conversation import (
    CONNECT,
    CREATE_STREAM,
    HANDSHAKE,
    PLAY,
    PUBLISH,
    Conversation,
    code_of,
    command,
    connect,
    connected,
    message,
    playing,
    publishing,
)


def accept_files(session: ServerSession, event: ServerEvent) -> None:
    """Let everybody play something that can be sought in."""
    if isinstance(event, PlayRequested):
        session.accept_play(seekable=True)


def greeted(properties: bytes) -> tuple[Connected, dict[str, object], dict[str, object]]:
    """Return what a connect became, and the two objects that it was answered by."""
    conversation = Conversation()
    (event,) = conversation.say(HANDSHAKE, properties)
    assert isinstance(event, Connected)
    ((name, transaction, ours, info),) = conversation.answers()
    assert (name, transaction) == ("_result", 1.0)
    return event, ours, info


def test_refused_connect() -> None:
    """A-UR-10: a description says why, and is the last of the message, as librtmp needs it."""
    asked: list[Connected] = []

    def refuse(connected: Connected) -> str:
        asked.append(connected)
        return "no & opaque=x" if len(asked) == 1 else ""

    conversation = Conversation(refuse_connect=refuse)
    said = connect(app="live?a=b", type="nonprivate", flashVer="X")
    assert conversation.say(HANDSHAKE, said) == [ConnectRefused("live?a=b")]
    assert conversation.answers() == [
        [
            *("_error", 1.0, None),
            {
                "level": "error",
                "code": "NetConnection.Connect.Rejected",
                "description": "no & opaque=x",
            },
        ]
    ]
    assert conversation.sent.endswith(b"opaque=x\0\0\x09")
    ((event,), (name, *_rest)) = conversation.say(said), conversation.answers()[0]
    assert asked == [event, event]
    assert name == "_result"
    with pytest.raises(PeerError, match="before connect"):
        refused = Conversation(refuse_connect=lambda _connected: "no")
        refused.say(HANDSHAKE, said, CREATE_STREAM)


@pytest.mark.parametrize(
    ("type_", "version", "is_encoder"),
    [
        ("nonprivate", "", True),
        ("nonprivate", "FMLE/3.0 (compatible; FMSc/1.0)", True),
        ("", "FMLE/3.0", True),
        (None, "FMLE/3.0", True),
        ("nonprivate", "LNX 10,0,32,18", True),
        ("", "WIN 32,0,0,1", False),
        ("private", "X", False),
        (1.0, "", False),
    ],
)
def test_encoders(type_: object, version: str, is_encoder: bool) -> None:
    """An encoder says that it is one in one of two ways; rtmp2sink calls itself a player."""
    (event,) = Conversation().say(HANDSHAKE, connect(type=type_, flashVer=version))
    assert isinstance(event, Connected)
    assert event.is_encoder is is_encoder


def test_connect_of_a_legacy_client() -> None:
    """A-ER-08: it sees no trace of Enhanced RTMP."""
    event, ours, info = greeted(connect(pageUrl="http://page/", swfUrl="http://swf", flashVer="X"))
    assert event.app == "live"
    assert (event.page_url, event.swf_url) == ("http://page/", "http://swf")
    assert event.flash_version == "X"
    assert not event.capabilities.is_enhanced
    assert set(ours) == {"fmsVer", "capabilities", "mode"}
    assert set(info) == {"level", "code", "description", "objectEncoding"}
    assert info["code"] == "NetConnection.Connect.Success"
    assert info["objectEncoding"] == 0.0


@pytest.mark.parametrize(
    "properties",
    [
        {"fourCcList": ["*"]},
        {"fourCcList": []},
        {"capsEx": 1.0},
        {"videoFourCcInfoMap": {"hvc1": 7.0}},
        {"audioFourCcInfoMap": {"*": 7.0}},
    ],
)
def test_connect_of_an_enhanced_client(properties: dict[str, object]) -> None:
    """A-ER-08: whichever property it announces itself by, it is told ours."""
    event, ours, info = greeted(connect(**properties))
    assert event.capabilities.is_enhanced
    for answer in (ours, info):
        assert answer["capsEx"] == 7.0
        assert answer["videoFourCcInfoMap"]["hvc1"] == 4.0  # type: ignore[index]
        assert answer["audioFourCcInfoMap"]["Opus"] == 4.0  # type: ignore[index]
        assert "av01" in answer["fourCcList"]  # type: ignore[operator]


def test_object_encoding() -> None:
    """A-AM-06: 3 is agreed to, since both are understood; answers are AMF0 all the same."""
    event, _ours, info = greeted(connect(objectEncoding=3.0))
    assert event.object_encoding == 3
    assert info["objectEncoding"] == 3.0


def test_quoted_address() -> None:
    """A-AM-18: Neko puts its tcUrl into quotation marks."""
    event, _ours, _info = greeted(connect(tcUrl="'rtmp://host/live'"))
    assert event.tc_url == "rtmp://host/live"


@pytest.mark.parametrize("argument", [None, 5.0, [], {}, "text"])
def test_connect_without_properties(argument: object) -> None:
    """A client that says nothing of itself is connected; what it asks for has no name then."""
    event, _ours, _info = greeted(command("connect", 1.0, argument))
    assert (event.app, event.tc_url) == ("", "")


def test_names_are_passed_on_as_they_came() -> None:
    """A-UR-01, A-UR-02, A-UR-11, A-UR-12: queries, slashes and junk are for `parse_rtmp`."""
    conversation = Conversation()
    conversation.say(HANDSHAKE, connect(app="/live?a=1/", tcUrl="rtmp://h/live?a=1/"))
    name = b"s\x00\xff?token=1&b=2"
    publish = amf0.encode("publish", 3.0, None) + b"\x02" + len(name).to_bytes(2, "big") + name
    events = conversation.say(
        CREATE_STREAM, message(MessageType.COMMAND_AMF0, publish, stream_id=1)
    )
    expected = PublishRequested(
        1, "/live?a=1/", "s\x00\udcff?token=1&b=2", "live", "rtmp://h/live?a=1/"
    )
    assert events == [expected]


def test_what_is_shown_is_clean() -> None:
    """Version and pages go to logs: no control characters, and not by the megabyte."""
    event, _ours, _info = greeted(connect(flashVer="a\r\nb\x1b[31m", pageUrl="x" * 9000))
    assert event.flash_version == "a??b?[31m"
    assert len(event.page_url) == 512


def test_everything_of_connect_in_one_write() -> None:
    """A join costs few segments: sizes and answer come together."""
    conversation = Conversation()
    conversation.say(HANDSHAKE, CONNECT)
    assert [sent.type_id for sent in conversation.messages()] == [5, 6, 20]
    # The reader keeps this one to itself.
    assert conversation.sent.count(set_chunk_size(60000)) == 1


def test_commands_before_connect() -> None:
    """Nothing is done for who did not connect."""
    conversation = Conversation()
    with pytest.raises(PeerError, match="'createStream' before connect"):
        conversation.say(HANDSHAKE, CREATE_STREAM)


def test_second_connect() -> None:
    """A connection has one application."""
    with pytest.raises(PeerError, match="second connect"):
        connected().say(CONNECT)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("releaseStream", []),
        ("FCPublish", [("onFCPublish", "NetStream.Publish.Start")]),
        ("FCUnpublish", [("onFCUnpublish", "NetStream.Unpublish.Success")]),
        ("FCSubscribe", [("onFCSubscribe", "NetStream.Play.Start")]),
        ("FCUnsubscribe", [("onFCUnsubscribe", "NetStream.Play.Stop")]),
        ("_checkbw", []),
        ("checkBandwidth", []),
    ],
)
def test_flash_server_calls(name: str, extra: list[tuple[str, str]]) -> None:
    """A-AM-08, A-AM-13: each has its `_result`, and the call back that hardware waits for."""
    conversation = connected()
    assert conversation.say(command(name, 2.0, None, "test")) == []
    answers = conversation.answers()
    assert answers[0] == ["_result", 2.0, None]
    assert [(answer[0], code_of(answer)) for answer in answers[1:]] == extra
    conversation.say(command(name, 0.0, None, "test"))
    assert [answer[0] for answer in conversation.answers()] == [called for called, _ in extra]


def test_stream_length() -> None:
    """A-AM-13: 0 for what is live."""
    conversation = connected()
    conversation.say(command("getStreamLength", 3.0, None, "test"))
    assert conversation.answers() == [["_result", 3.0, None, 0.0]]


def test_unknown_command() -> None:
    """A-AM-13: an error for who wants an answer, nothing else; the connection stays."""
    conversation = connected()
    assert conversation.say(command("getUser\n", 9.0, None, "x")) == []
    ((name, transaction, _object, info),) = conversation.answers()
    assert (name, transaction) == ("_error", 9.0)
    assert info["code"] == "NetConnection.Call.Failed"
    assert info["description"] == "There is no 'getUser\\n'."
    assert conversation.say(command("getUser", 0.0, None)) == []
    assert conversation.answers() == []
    conversation.say(CREATE_STREAM)
    assert conversation.answers() == [["_result", 2.0, None, 1.0]]


@pytest.mark.parametrize("name", ["_result", "_error", "onStatus"])
def test_answers_to_nothing(name: str) -> None:
    """A server never calls, so it passes answers over: two servers do not talk for ever."""
    conversation = connected()
    assert conversation.say(command(name, 5.0, None, {})) == []
    assert conversation.messages() == []


def test_many_streams() -> None:
    """A-AM-10: 1000 times `createStream` gives 16 ids and 984 errors, and the connection stays."""
    conversation = connected()
    conversation.say(*(command("createStream", float(n), None) for n in range(1, 1001)))
    answers = conversation.answers()
    ids = [answer[3] for answer in answers if answer[0] == "_result"]
    assert ids == [float(n) for n in range(1, MAX_STREAMS + 1)]
    assert [answer[1] for answer in answers] == [float(n) for n in range(1, 1001)]
    assert {answer[0] for answer in answers[MAX_STREAMS:]} == {"_error"}


def test_streams_never_asked_for() -> None:
    """Publishing on ever new ids runs into the same limit."""
    conversation = connected()
    for stream_id in range(50, 50 + MAX_STREAMS):
        conversation.say(command("publish", 0.0, None, "x", stream_id=stream_id))
        conversation.say(command("closeStream", 0.0, None, stream_id=stream_id))
    with pytest.raises(LimitExceeded):
        conversation.say(command("publish", 0.0, None, "x", stream_id=7))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["test"], "live"),
        (["test", "live"], "live"),
        (["test", "LIVE"], "live"),
        (["test", "record"], "record"),
        (["test", "append"], "append"),
        (["test", "sideways"], "live"),
        (["test", 5.0], "live"),
    ],
)
def test_kinds_of_publishing(arguments: list[object], kind: str) -> None:
    """A-AM-11: none and unknown ones are live."""
    conversation = connected()
    events = conversation.say(CREATE_STREAM, command("publish", 3.0, None, *arguments, stream_id=1))
    assert events == [PublishRequested(1, "live", "test", kind, "rtmp://host/live")]


@pytest.mark.parametrize("name", [None, 5.0, ""])
def test_publishing_without_a_name(name: object) -> None:
    """A-UR-03: the name is empty then, which `parse_rtmp` refuses with a reason."""
    (event,) = connected().say(command("publish", 3.0, None, name, stream_id=1))
    assert isinstance(event, PublishRequested)
    assert event.name == ""


@pytest.mark.parametrize(
    ("arguments", "start", "duration"),
    [
        ([], -2, -1),
        ([-2000.0], -2, -1),
        ([-2.0], -2, -1),
        ([-1000.0], -1, -1),
        ([-1.0], -1, -1),
        ([0.0], 0, -1),
        ([1500.0, 250.0, True], 1500, 250),
        ([1500.0, -1000.0], 1500, -1),
        ([float("nan")], 0, -1),
    ],
)
def test_where_to_play_from(arguments: list[object], start: int, duration: int) -> None:
    """RTMP 1.0 7.2.2.1, in the milliseconds that FFmpeg, librtmp and GStreamer mean."""
    (event,) = connected().say(command("play", 0.0, None, "test", *arguments, stream_id=1))
    assert event == PlayRequested(
        1, "live", "test", "rtmp://host/live", "", start=start, duration=duration
    )


STOP_PUBLISHING = {
    "FCUnpublish": command("FCUnpublish", 6.0, None, "test"),
    "closeStream": command("closeStream", 0.0, None, stream_id=1),
    "deleteStream": command("deleteStream", 7.0, None, 1.0),
    "publish(false)": command("publish", 0.0, None, False, stream_id=1),
}


@pytest.mark.parametrize("how", STOP_PUBLISHING)
def test_publish_again(how: str) -> None:
    """A-AM-19: each way to stop ends the stream once; then it may be published again."""
    conversation = publishing()
    assert conversation.say(STOP_PUBLISHING[how]) == [Unpublished(1)]
    assert conversation.say(STOP_PUBLISHING[how]) == []
    conversation.messages()
    assert conversation.say(CREATE_STREAM, PUBLISH) == [
        PublishRequested(1, "live", "test", "live", "rtmp://host/live")
    ]
    assert code_of(conversation.answers()[-1]) == "NetStream.Publish.Start"


def test_how_obs_stops() -> None:
    """A-AM-19: FCUnpublish and deleteStream together are one end."""
    conversation = publishing()
    events = conversation.say(STOP_PUBLISHING["FCUnpublish"], STOP_PUBLISHING["deleteStream"])
    assert events == [Unpublished(1)]


def test_publish_twice() -> None:
    """Publishing on a stream that is published ends the former first."""
    conversation = publishing()
    events = conversation.say(command("publish", 9.0, None, "other", stream_id=1))
    assert events == [
        Unpublished(1),
        PublishRequested(1, "live", "other", "live", "rtmp://host/live"),
    ]


def test_publish_two() -> None:
    """A connection publishes one stream: another is refused, and the first goes on."""
    conversation = publishing()
    events = conversation.say(CREATE_STREAM, command("publish", 9.0, None, "b", stream_id=2))
    assert events == []
    created, refused = conversation.answers()
    assert created[3] == 2.0
    assert code_of(refused) == "NetStream.Publish.Failed"
    assert conversation.say(STOP_PUBLISHING["closeStream"]) == [Unpublished(1)]


def test_publish_then_play() -> None:
    """A-AM-19: the same connection plays after it published."""
    conversation = publishing()
    events = conversation.say(STOP_PUBLISHING["closeStream"], PLAY)
    assert [type(event) for event in events] == [Unpublished, PlayRequested]
    codes = [code_of(answer) for answer in conversation.answers()]
    assert codes == [
        "NetStream.Unpublish.Success",
        "NetStream.Play.Reset",
        "NetStream.Play.Start",
    ]


def test_publish_and_play_at_once() -> None:
    """On two message streams both are possible."""
    conversation = publishing()
    events = conversation.say(CREATE_STREAM, command("play", 0.0, None, "b", stream_id=2))
    assert events == [PlayRequested(2, "live", "b", "rtmp://host/live", "")]
    sent = conversation.messages()
    assert {one.message_stream_id for one in sent if one.type_id == 18} == {2}


def test_stop_playing() -> None:
    """Each way to stop is told once, and another play replaces the first."""
    for stop in (
        command("closeStream", 0.0, None, stream_id=1),
        command("deleteStream", 0.0, None, 1.0),
        command("play", 0.0, None, False, stream_id=1),
    ):
        conversation = playing()
        assert conversation.say(stop, stop) == [PlayStopped(1)]
        assert conversation.answers() == []
    events = playing().say(PLAY)
    assert [type(event) for event in events] == [PlayStopped, PlayRequested]


def test_play2() -> None:
    """RTMP 1.0 7.2.2.2: a switch to another stream."""
    wanted = {"streamName": "other", "transition": "switch", "start": 0.0}
    events = playing().say(command("play2", 0.0, None, wanted, stream_id=1))
    assert events == [PlayStopped(1), PlayRequested(1, "live", "other", "rtmp://host/live", "")]


@pytest.mark.parametrize("name", ["pause", "pauseRaw"])
def test_pause(name: str) -> None:
    """A-AM-20: the player is told, and the owner with the player's time."""
    conversation = playing()
    assert conversation.say(command(name, 0.0, None, True, 1500.0, stream_id=1)) == [
        PauseRequested(1, True, 1500)
    ]
    assert code_of(conversation.answers()[0]) == "NetStream.Pause.Notify"
    assert conversation.say(command(name, 0.0, None, False, -1.0, stream_id=1)) == [
        PauseRequested(1, False, 0)
    ]
    assert code_of(conversation.answers()[0]) == "NetStream.Unpause.Notify"


def test_seek_in_a_live_stream() -> None:
    """A-AM-20: is refused with a status, and is no event."""
    conversation = playing()
    assert conversation.say(command("seek", 0.0, None, 5000.0, stream_id=1)) == []
    assert code_of(conversation.answers()[0]) == "NetStream.Seek.Failed"


def test_seek_in_a_file() -> None:
    """A-AM-20: is the owner's, who answers by `accept_seek`."""
    conversation = playing(answer=accept_files)
    assert conversation.say(command("seek", 0.0, None, 5000.0, stream_id=1)) == [
        SeekRequested(1, 5000)
    ]
    assert conversation.answers() == []
    conversation.session.accept_seek(1, 4800)
    assert [code_of(answer) for answer in conversation.answers()] == [
        "NetStream.Seek.Notify",
        "NetStream.Play.Reset",
        "NetStream.Play.Start",
    ]


@pytest.mark.parametrize(
    ("name", "kind"), [("receiveAudio", MediaKind.AUDIO), ("receiveVideo", MediaKind.VIDEO)]
)
def test_receive(name: str, kind: MediaKind) -> None:
    """A-AM-20: off in silence, on again with two statuses (RTMP 1.0 7.2.2.4)."""
    conversation = playing()
    assert conversation.say(command(name, 0.0, None, False, stream_id=1)) == [
        ReceiveRequested(1, kind, False)
    ]
    assert conversation.answers() == []
    assert conversation.say(command(name, 0.0, None, True, stream_id=1)) == [
        ReceiveRequested(1, kind, True)
    ]
    assert [code_of(answer) for answer in conversation.answers()] == [
        "NetStream.Seek.Notify",
        "NetStream.Play.Start",
    ]


@pytest.mark.parametrize("name", ["pause", "seek", "receiveAudio", "receiveVideo"])
def test_controls_of_what_does_not_play(name: str) -> None:
    """They are nothing then."""
    conversation = publishing()
    assert conversation.say(command(name, 0.0, None, True, stream_id=1)) == []
    assert conversation.say(command(name, 0.0, None, True, stream_id=44)) == []
    assert conversation.messages() == []


@pytest.mark.parametrize("stream_id", [0.0, 9.0, -1.0, 1.5, float("nan"), None, "1"])
def test_delete_what_is_not_there(stream_id: object) -> None:
    """Nothing happens, to the one that is there neither."""
    conversation = publishing()
    assert conversation.say(command("deleteStream", 0.0, None, stream_id)) == []
    assert conversation.say(STOP_PUBLISHING["closeStream"]) == [Unpublished(1)]


def test_amf3_commands() -> None:
    """A-AM-01, A-AM-02: types 17 with and without its zero byte."""
    payload = amf0.encode("publish", 3.0, None, "test", "live")
    for prefix in (b"\x00", b""):
        conversation = connected()
        (event,) = conversation.say(
            message(MessageType.COMMAND_AMF3, prefix + payload, stream_id=1)
        )
        assert isinstance(event, PublishRequested)
        # Answers are AMF0 in any case.
        assert [sent.type_id for sent in conversation.messages()] == [20]


def test_legacy_player_and_hevc() -> None:
    """A-ER-09: the owner sees that it cannot decode it, and refuses before Play.Start."""
    conversation = connected(answer=lambda _session, _event: None)
    conversation.say(CREATE_STREAM, PLAY)
    assert not conversation.session.capabilities.takes(Codec.HEVC)
    conversation.messages()
    conversation.session.reject("NetStream.Play.Failed", "the player does not decode hevc")
    ((_name, _transaction, _object, info),) = conversation.answers()
    assert info["code"] == "NetStream.Play.Failed"
    assert info["level"] == "error"


def test_broken_command() -> None:
    """A command that is no AMF closes the connection, unlike a broken data message."""
    with pytest.raises(PeerError):
        connected().say(message(MessageType.COMMAND_AMF0, b"\x02\xff\xff"))


def test_publish_order_of_haivision() -> None:
    """A-AM-09: createStream, FCPublish, publish, with a _checkbw in between."""
    conversation = connected()
    events = conversation.say(
        CREATE_STREAM,
        command("_checkbw", 3.0, None),
        command("FCPublish", 4.0, None, "test"),
        PUBLISH,
    )
    assert events == [PublishRequested(1, "live", "test", "live", "rtmp://host/live")]
    answers = conversation.answers()
    assert [answer[0] for answer in answers] == [
        "_result",
        "_result",
        "_result",
        "onFCPublish",
        "onStatus",
    ]
    assert code_of(answers[-1]) == "NetStream.Publish.Start"
