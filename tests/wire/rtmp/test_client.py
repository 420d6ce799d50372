"""Tests of a client's session, mostly against a server's of this program."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats import amf0
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import ChunkReader, MessageType
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import (
    Accepted,
    Connected,
    Ended,
    MetadataReceived,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    ReconnectRequested,
    Rejected,
    ServerEvent,
    Unpublished,
)
from ntvmedia.wire.rtmp.handshake import BLOCK_SIZE
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.server import ServerSession
from tests.codecs.vectors import AVCC_576I, AVCC_1080
from tests.wire.rtmp.conversation import RANDOM, command, converse, message, pieces

AVC: Final = Track(Codec.H264, config=AVCC_1080)
AAC: Final = Track(Codec.AAC, clock_rate=48000, config=b"\x11\x90", channels=2)
TEXT: Final = Track(Codec.AMF0, clock_rate=1000)

KEY: Final = Packet(AVC, 9000, 9000, True, bytes.fromhex("0000000265880000000241ff"))
DELTA: Final = Packet(AVC, 12600, 16200, False, bytes.fromhex("0000000241ff"))
SOUND: Final = Packet(AAC, 4800, 4800, True, b"\x21\x10\x05")
TITLE: Final = Packet(TEXT, 130, 130, True, amf0.encode("onTextData", {"text": "hello"}))


def client(*, publishing: bool, **options: Any) -> ClientSession:
    """Make a client of rtmp://host/live/test."""
    return ClientSession(
        RANDOM,
        publishing=publishing,
        app="live",
        name="test?token=1",
        tc_url="rtmp://host/live",
        **options,
    )


def refuse(session: ServerSession, event: ServerEvent) -> None:
    """Refuse every request."""
    if isinstance(event, PublishRequested | PlayRequested):
        session.reject("NetStream.Publish.BadName", "it is taken")


@pytest.mark.parametrize("publishing", [True, False])
def test_accepted(publishing: bool) -> None:
    """Either end gets to where media can flow, and announces Enhanced RTMP."""
    ours, server = client(publishing=publishing), ServerSession(RANDOM)
    of_client, (connected, request) = converse(ours, server)
    kind = "Publish" if publishing else "Play"
    assert of_client == [Accepted(f"NetStream.{kind}.Start", f"{kind}ing started.")]
    assert isinstance(connected, Connected)
    assert connected.app == "live"
    assert connected.capabilities.takes(Codec.AV1)
    assert connected.capabilities.can_reconnect
    expected = PublishRequested if publishing else PlayRequested
    assert isinstance(request, expected)
    assert request.name == "test?token=1"
    assert ours.capabilities.has_multitrack


@pytest.mark.parametrize("publishing", [True, False])
def test_rejected(publishing: bool) -> None:
    """The server's code and words come out, and nothing more happens."""
    ours, server = client(publishing=publishing), ServerSession(RANDOM)
    of_client, _of_server = converse(ours, server, answer=refuse)
    assert of_client == [Rejected("NetStream.Publish.BadName", "it is taken")]
    with pytest.raises(UsageError):
        ours.send_track(AVC)


def published(server: ServerSession) -> ClientSession:
    """Return a client that was accepted as publisher."""
    ours = client(publishing=True)
    converse(ours, server)
    return ours


def test_published_media() -> None:
    """Tracks, metadata and packets arrive as they were sent, with composition times."""
    server = ServerSession(RANDOM)
    ours = published(server)
    ours.send_metadata({"encoder": "test", "videocodecid": 2.0})
    for track in (AVC, AAC, TEXT):
        ours.send_track(track)
    for packet in (KEY, SOUND, DELTA, TITLE):
        ours.send_packet(packet)
    _of_client, events = converse(ours, server)
    metadata = events[0]
    assert isinstance(metadata, MetadataReceived)
    assert metadata.fields["encoder"] == "test"
    assert metadata.fields["videocodecid"] == 7.0
    assert events[1:] == [AAC, AVC, KEY, SOUND, DELTA, TEXT, TITLE]


def test_changes_while_publishing() -> None:
    """A new track or other metadata is sent in between."""
    server = ServerSession(RANDOM)
    ours = published(server)
    ours.send_track(AVC)
    ours.send_packet(KEY)
    converse(ours, server)
    other = Track(Codec.H264, config=AVCC_576I)
    ours.send_track(other)
    ours.send_metadata({"encoder": "another"})
    ours.send_packet(DELTA._replace(track=other))
    _of_client, events = converse(ours, server)
    assert events[0] == other
    assert isinstance(events[1], MetadataReceived)
    assert events[1].fields["encoder"] == "another"
    assert events[2:] == [DELTA._replace(track=other)]


def test_multitrack_to_who_can() -> None:
    """Our own server announces multitrack: all tracks arrive with their numbers."""
    server = ServerSession(RANDOM)
    ours = published(server)
    second = Track(Codec.AAC, number=3, clock_rate=48000, config=b"\x12\x10", channels=2)
    for track in (AAC, second):
        ours.send_track(track)
    ours.send_packet(SOUND)
    ours.send_packet(SOUND._replace(track=second))
    _of_client, events = converse(ours, server)
    packets = [event for event in events if isinstance(event, Packet)]
    assert [packet.track.number for packet in packets] == [0, 3]


def test_publisher_leaves() -> None:
    """FCUnpublish and deleteStream; the server hears of one end."""
    server = ServerSession(RANDOM)
    ours = published(server)
    ours.leave()
    _of_client, events = converse(ours, server)
    assert events == [Unpublished(1)]
    ours.leave()
    assert ours.data_to_send() == b""


def playing(server: ServerSession, **options: Any) -> ClientSession:
    """Return a client that plays."""
    ours = client(publishing=False, **options)
    converse(ours, server)
    return ours


def stream_bytes(*packets: Packet) -> bytes:
    """Return what a rendition sends a joiner."""
    made = RTMPSerialiser()
    made.tracks_changed((AVC, AAC, TEXT), {}, 0)
    parts = [made.header(100)]
    for packet in packets:
        made.packet(packet, parts)
    return b"".join(parts)


def test_played_media() -> None:
    """The shared bytes of a rendition, as a player's tracks and packets."""
    ours = playing(ServerSession(RANDOM))
    ours.receive_data(stream_bytes(KEY, SOUND, DELTA, TITLE))
    metadata, *media = ours.events()
    assert isinstance(metadata, MetadataReceived)
    assert media == [AAC, AVC, KEY, SOUND, DELTA, TEXT, TITLE]
    assert ours.dropped == 0
    assert ours.last_problem == ""


def test_player_leaves() -> None:
    """The server hears of it."""
    server = ServerSession(RANDOM)
    ours = playing(server)
    ours.leave()
    _of_client, events = converse(ours, server)
    assert events == [PlayStopped(1)]


def test_end_of_the_stream() -> None:
    """Unpublish ends a play, with one event."""
    server = ServerSession(RANDOM)
    ours = playing(server)
    server.stop_play("NetStream.Play.UnpublishNotify", "over")
    of_client, _events = converse(ours, server)
    assert of_client == [Ended("NetStream.Play.UnpublishNotify", "over")]


def test_sent_away() -> None:
    """A publisher is told, and may send nothing more."""
    server = ServerSession(RANDOM)
    ours = published(server)
    server.stop_publish("NetStream.Publish.BadName", "another one came")
    of_client, _events = converse(ours, server)
    assert of_client == [Ended("NetStream.Publish.BadName", "another one came")]
    with pytest.raises(UsageError):
        ours.send_packet(KEY)


def test_reconnect_request() -> None:
    """A-ER-10: an event; the play goes on."""
    server = ServerSession(RANDOM)
    ours = playing(server)
    assert server.request_reconnect("/other", "moving")
    of_client, _events = converse(ours, server)
    assert of_client == [ReconnectRequested("/other", "moving")]
    ours.receive_data(stream_bytes(KEY))
    assert KEY in list(ours.events())


def test_pings_are_answered_both_ways() -> None:
    """A-CK-20, A-CK-21: a quiet player whose session answers stays for ever."""
    server = ServerSession(RANDOM)
    ours = playing(server)
    for second in range(1, 200):
        server.handle_timeout(float(second))
        ours.handle_timeout(float(second))
        converse(ours, server)


def test_acknowledgements_of_a_player() -> None:
    """They come when the server's window asks for them."""
    server = ServerSession(RANDOM, window_ack_size=20_000)
    ours = playing(server)
    block = stream_bytes(*[KEY] * 1000)
    ours.receive_data(block)
    assert len(list(ours.events())) > 1000
    sent = ours.data_to_send()
    ours.receive_data(block)
    assert sent == writer.acknowledgement(ours.received - len(block))


def test_window_in_answer_to_bandwidth() -> None:
    """RTMP 1.0 5.4.5: Set Peer Bandwidth is answered by a window of that size."""
    ours = playing(ServerSession(RANDOM))
    ours.receive_data(writer.set_peer_bandwidth(123_456))
    assert list(ours.events()) == []
    assert ours.data_to_send() == writer.window_ack_size(123_456)


# A server that says what it is told to


def raw(session: ClientSession, *data: bytes) -> list[object]:
    """Give a client bytes; return its events."""
    session.receive_data(b"".join(data))
    return list(session.events())


GREETING: Final = b"\x03" + bytes(2 * BLOCK_SIZE)
RESULT: Final = command("_result", 1.0, {}, {"code": "NetConnection.Connect.Success"})


def calls(data: bytes) -> list[list[Any]]:
    """Return the commands in what a client sent behind its handshake."""
    reader = ChunkReader()
    reader.receive_data(data)
    found = []
    while (one := reader.next_message()) is not None:
        if one.type_id == MessageType.COMMAND_AMF0:
            found.append(amf0.decode(one.payload))
    return found


def test_the_calls_of_a_publisher() -> None:
    """In the order of FFmpeg and OBS, connect alone in chunks of 128 bytes."""
    ours = client(publishing=True, swf_url="http://swf", page_url="http://page")
    sent = ours.data_to_send()
    assert len(sent) == 1 + BLOCK_SIZE
    raw(ours, GREETING)
    sent = ours.data_to_send()[BLOCK_SIZE:]
    assert raw(ours, RESULT) == []
    sent += ours.data_to_send()
    assert raw(ours, command("_result", 4.0, None, 7.0)) == []
    sent += ours.data_to_send()
    connect, *others = calls(sent)
    assert connect[2]["flashVer"].startswith("FMLE/3.0")
    assert (connect[2]["swfUrl"], connect[2]["pageUrl"]) == ("http://swf", "http://page")
    assert [(call[0], call[-1]) for call in others] == [
        ("releaseStream", "test?token=1"),
        ("FCPublish", "test?token=1"),
        ("createStream", None),
        ("publish", "live"),
    ]


def test_media_goes_to_the_stream_that_was_given() -> None:
    """Servers number their streams as they like."""
    ours = client(publishing=True)
    raw(ours, GREETING, RESULT, command("_result", 4.0, None, 7.0))
    start = {"level": "status", "code": "NetStream.Publish.Start"}
    assert raw(ours, command("onStatus", 0.0, None, start, stream_id=7)) == [
        Accepted("NetStream.Publish.Start", "")
    ]
    ours.data_to_send()
    ours.send_track(AAC)
    ours.send_packet(SOUND)
    reader = ChunkReader()
    reader.receive_data(writer.set_chunk_size(60000) + ours.data_to_send())
    found = []
    while (one := reader.next_message()) is not None:
        found.append(one)
    assert {one.message_stream_id for one in found} == {7}
    assert amf0.decode(found[0].payload)[:2] == ["@setDataFrame", "onMetaData"]
    # A legacy server is sent no multitrack.
    assert not ours.capabilities.is_enhanced


@pytest.mark.parametrize(
    ("said", "event"),
    [
        (
            command("_error", 1.0, None, {"code": "NetConnection.Connect.Rejected"}),
            Rejected("NetConnection.Connect.Rejected", ""),
        ),
        (RESULT + command("_error", 4.0, None, None), Rejected("", "")),
        (command("close", 0.0, None), Rejected("", "")),
        (
            RESULT
            + command("_result", 4.0, None, 1.0)
            + command("onStatus", 0.0, None, {"level": "error", "code": "X", "description": "y"}),
            Rejected("X", "y"),
        ),
    ],
)
def test_refusals(said: bytes, event: Rejected) -> None:
    """Of the connection, the stream and the request, whatever the server's words."""
    ours = client(publishing=True)
    assert raw(ours, GREETING, said) == [event]
    assert raw(ours, RESULT) == []


def test_errors_that_do_not_matter() -> None:
    """Servers without releaseStream and FCPublish say so, and publishing goes on."""
    ours = client(publishing=True)
    odd = b"".join(
        (
            command("onBWDone", 0.0, None),
            command("onFCPublish", 0.0, None, {}),
            command("_error", 2.0, None, {}),
            command("_error", 3.0, None, {}),
            command("_result", 99.0, None, 5.0),
            command("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Play.Reset"}),
            message(99, b"?"),
        )
    )
    assert raw(ours, GREETING, RESULT, odd, command("_result", 4.0, None, 1.0)) == []
    names = [call[0] for call in calls(ours.data_to_send()[1 + 2 * BLOCK_SIZE :])]
    assert names[-2:] == ["_checkbw", "publish"]


@pytest.mark.parametrize("stream_id", [0.0, -1.0, None, "1", float("inf"), 2.0**32])
def test_stream_ids_that_are_none(stream_id: object) -> None:
    """Without a stream nothing can be published or played."""
    ours = client(publishing=False)
    with pytest.raises(PeerError, match="no stream id"):
        raw(ours, GREETING, RESULT, command("_result", 4.0, None, stream_id))


def test_nothing_can_be_sent_too_early() -> None:
    """Before it was accepted, and from a player, media is a bug of the caller."""
    with pytest.raises(UsageError):
        client(publishing=True).send_track(AVC)
    with pytest.raises(UsageError):
        playing(ServerSession(RANDOM)).send_packet(KEY)


def test_lenient_and_strict() -> None:
    """A-HS-10: a server that does not echo is accepted, unless it must not be."""
    assert raw(client(publishing=False), GREETING) == []
    with pytest.raises(PeerError):
        raw(client(publishing=False, strict=True), GREETING)


def test_deadlines() -> None:
    """No answer to connect within 15 s, or no media after 45 s, is the end."""
    with pytest.raises(PeerError, match="not connected after 15 s"):
        client(publishing=True).handle_timeout(15.0)
    ours = client(publishing=True)
    raw(ours, GREETING, RESULT)
    for second in range(1, 45):
        raw(ours, writer.ping_request(second))
        ours.handle_timeout(float(second))
    with pytest.raises(PeerError, match="still creating a stream after 45 s"):
        ours.handle_timeout(45.0)


@settings(max_examples=30)
@given(st.integers(1, 3000), st.booleans())
def test_cuts_do_not_matter_between_two_of_ours(size: int, publishing: bool) -> None:
    """Law 1: both ends come to the same in pieces of any size."""
    ours, server = client(publishing=publishing), ServerSession(RANDOM)
    of_client, _of_server = converse(ours, server, size=size)
    assert [type(event) for event in of_client] == [Accepted]
    if publishing:
        for track in (AVC, AAC):
            ours.send_track(track)
        for packet in (KEY, SOUND, DELTA):
            ours.send_packet(packet)
        _of_client, events = converse(ours, server, size=size)
        assert events[1:] == [AAC, AVC, KEY, SOUND, DELTA]


def heard(parts: list[bytes]) -> tuple[list[object], str]:
    """Return the events and the error of a player that is sent bytes in pieces."""
    ours = client(publishing=False)
    events: list[object] = []
    try:
        for part in parts:
            ours.receive_data(part)
            events += ours.events()
    except PeerError as error:
        return events, str(error)
    return events, ""


PARTS: Final = (
    RESULT,
    command("_result", 4.0, None, 1.0),
    command("onStatus", 0.0, None, {"code": "NetStream.Play.Start"}, stream_id=1),
    command("onStatus", 0.0, None, {"code": "NetStream.Play.Stop"}, stream_id=1),
    command("_error", 4.0, None, {}),
    writer.set_chunk_size(60000) + stream_bytes(KEY, SOUND, TITLE),
    writer.set_peer_bandwidth(5),
)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PARTS), max_size=7), st.binary(max_size=40), st.data())
def test_both_laws(good: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """However a server's bytes are cut, good or bad: the same, and nothing but PeerError."""
    stream = GREETING + b"".join(good) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert heard(pieces(stream, cuts)) == heard([stream])


def test_spent_after_an_error() -> None:
    """Driving it on is a bug."""
    ours = client(publishing=False)
    with pytest.raises(PeerError):
        raw(ours, b"\x16")
    with pytest.raises(UsageError):
        list(ours.events())
    with pytest.raises(UsageError):
        ours.handle_timeout(1.0)
