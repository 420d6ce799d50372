"""What is fuzzed: functions that take any bytes, and raise only when a promise is broken.

The promises: only documented errors, whatever the bytes; the same for every cut; bounded memory.
A target swallows the documented errors; an `AssertionError` or anything else is a bug.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from ntvmedia.codecs.description import describe
from ntvmedia.endpoints.http.bodies import ChunkedBody
from ntvmedia.endpoints.http.heads import HeadParser
from ntvmedia.endpoints.http.hls.waiting import WrongDirective, parse_directives
from ntvmedia.endpoints.http.ranges import NotSatisfiable, parse_range
from ntvmedia.endpoints.http.routing import media_target
from ntvmedia.errors import PeerError, Refused, UsageError
from ntvmedia.formats import amf0, fmp4_muxer
from ntvmedia.formats.flv import Demuxer, TagType, file_header, tag
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.formats.fmp4_demuxer import Demuxer as FMP4Demuxer
from ntvmedia.formats.fmp4_movie import parse_movie
from ntvmedia.formats.m3u8 import MediaPlaylist
from ntvmedia.formats.m3u8_reader import parse_playlist
from ntvmedia.formats.mpegts_demuxer import Demuxer as MPEGTSDemuxer
from ntvmedia.formats.mpegts_serialiser import MPEGTSSerialiser
from ntvmedia.media import Packet, StreamKey, Track
from ntvmedia.media.names import BadName, parse_path, parse_rtmp, stream_key
from ntvmedia.wire import amf3
from ntvmedia.wire.proxy_protocol import parse_proxy_header
from ntvmedia.wire.rtmp.calls import decode_values, read_call
from ntvmedia.wire.rtmp.capabilities import parse_capabilities
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.handshake import ClientHandshake, ServerHandshake
from ntvmedia.wire.rtmp.media_reader import MediaReader
from ntvmedia.wire.rtmp.serialiser import RTMPSerialiser
from ntvmedia.wire.rtmp.server import ServerSession
from tests.codecs.test_hostile import PARSERS
from tests.fuzz import seeds
from tests.wire.rtmp.conversation import (
    CONNECT,
    CREATE_STREAM,
    HANDSHAKE,
    PLAY,
    PUBLISH,
    RANDOM,
    accept,
)

# More than the limits that the parsers are given here, and what one read of a socket holds.
_SLACK = 1 << 17


class Target(NamedTuple):
    """One parser.

    Attributes:
        run: Takes any bytes.
        seeds: Good input, from which others are made.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def cuts(data: bytes) -> list[bytes]:
    """Cut bytes at places that depend on nothing but themselves."""
    dice = random.Random(data)
    pieces, place = [], 0
    while place < len(data):
        size = dice.choice((1, 2, 3, 11, 128, 1400, 5000))
        pieces.append(data[place : place + size])
        place += size
    return pieces


def both_ways(data: bytes, read: Callable[[Iterable[bytes]], Any]) -> None:
    """Check that a reader of pieces finds the same in one piece as in several."""
    assert read([data]) == read(cuts(data))


def _only_peer_errors(parse: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with suppress(PeerError):
            parse(data)

    return run


def _handshake(new: Callable[[], Any]) -> Callable[[bytes], None]:
    def read(pieces: Iterable[bytes]) -> object:
        handshake, sent = new(), b""
        try:
            for piece in pieces:
                handshake.receive_data(piece)
        except PeerError as error:
            return str(error)
        sent += handshake.data_to_send()
        return sent, handshake.done, handshake.remainder()

    return lambda data: both_ways(data, read)


def _chunks(data: bytes) -> None:
    limit = 1 << 18

    def read(pieces: Iterable[bytes]) -> object:
        reader = ChunkReader(limit, max_chunk_streams=16, max_buffered=2 * limit)
        messages: list[object] = []
        try:
            for piece in pieces:
                reader.receive_data(piece)
                while (message := reader.next_message()) is not None:
                    messages.append(message)
                assert reader.buffered <= 2 * limit + _SLACK + len(piece)
        except PeerError as error:
            messages.append(str(error))
        return messages

    both_ways(data, read)


def _amf0(data: bytes) -> None:
    with suppress(PeerError):
        values = amf0.decode(data, avmplus=amf3.decode_value)
        # What was read can be written, and is the same when it is read again.
        with suppress(UsageError):
            again = amf0.decode(amf0.encode(*values))
            assert repr(again) == repr(values)


def _amf3(data: bytes) -> None:
    with suppress(PeerError):
        decode_values(17, data)
    with suppress(PeerError):
        value, offset = amf3.decode_value(data)
        assert 0 < offset <= len(data)
        with suppress(UsageError):
            again, _end = amf3.decode_value(amf3.encode_value(value))
            assert repr(again) == repr(value)


def _calls(data: bytes) -> None:
    for type_id in (17, 20):
        with suppress(PeerError):
            call = read_call(Message(type_id, 0, 0, data, 3))
            for index in range(5):
                call.text(index)
                call.number(index)
                call.milliseconds(index)
                parse_capabilities(call.properties(call.argument(index)))


def _session(
    prefix: bytes, new: Callable[[], Any], answer: Callable[[Any, Any], None]
) -> Callable[[bytes], None]:
    """Return what gives bytes to a session that has read `prefix` before."""

    def read(pieces: Iterable[bytes]) -> object:
        session, events = new(), []
        session.receive_data(prefix)
        for event in session.events():
            answer(session, event)
        session.data_to_send()
        try:
            for piece in pieces:
                session.receive_data(piece)
                for event in session.events():
                    events.append(repr(event))
                    answer(session, event)
            session.handle_timeout(1.0)
        except PeerError as error:
            events.append(str(error))
        return events

    return lambda data: both_ways(data, read)


def _server(*, random: bytes = RANDOM) -> ServerSession:
    return ServerSession(random, max_message_size=1 << 18)


def _client(*, publishing: bool) -> ClientSession:
    address = "rtmp://host/live"
    session = ClientSession(
        RANDOM, publishing=publishing, app="live", name="test", tc_url=address,
        max_message_size=1 << 18,
    )  # fmt: skip
    session.data_to_send()
    return session


def _no_answer(_session: object, _event: object) -> None:
    """Leave a request waiting."""


def _demuxer(data: bytes) -> None:
    def read(pieces: Iterable[bytes]) -> object:
        demuxer, events = Demuxer(max_body_size=1 << 18), list[object]()
        try:
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
        except PeerError as error:
            events.append(str(error))
        return events

    both_ways(data, read)


def _mpegts(data: bytes) -> None:
    """Take a transport stream apart, and put it together again."""

    def read(pieces: Iterable[bytes]) -> object:
        demuxer, events = MPEGTSDemuxer(recovery_points=True), list[object]()
        try:
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
                assert demuxer.buffered <= len(data)
            events += demuxer.flush()
        except PeerError as error:
            events.append(str(error))
        return events

    both_ways(data, read)
    serialiser, tracks, parts = MPEGTSSerialiser(), dict[int, Track](), list[bytes]()
    demuxer = MPEGTSDemuxer()
    demuxer.receive_data(data)
    with suppress(PeerError):
        for event in demuxer.events():
            if isinstance(event, Packet):
                serialiser.packet(event, parts)
            elif isinstance(event, Track):
                describe(event)
                tracks[event.id] = event
                serialiser.tracks_changed(list(tracks.values()), {}, 0)
    again = b"".join(parts)
    assert len(again) % 188 == 0
    assert again[::188] == b"G" * (len(again) // 188)


def _fmp4(data: bytes) -> None:
    """Take MP4 apart as it comes, and make fragments of what is in it."""

    def read(pieces: Iterable[bytes]) -> object:
        demuxer, events = FMP4Demuxer(), list[object]()
        try:
            for piece in pieces:
                demuxer.receive_data(piece)
                events += demuxer.events()
                assert demuxer.buffered <= len(data)
            events += demuxer.flush()
        except PeerError as error:
            events.append(str(error))
        return events

    both_ways(data, read)
    demuxer, tracks, packets = FMP4Demuxer(), list[Track](), list[Packet]()
    demuxer.receive_data(data)
    with suppress(PeerError):
        for event in demuxer.events():
            if isinstance(event, Packet):
                packets.append(event)
            else:
                describe(event)
                tracks.append(event)
    muxer = fmp4_muxer.Muxer(tracks)
    for packet in packets:
        if packet.dts >= 0:
            muxer.packet(packet)
    muxer.fragment()
    muxer.finish()
    muxer.init_segment()


def _directives(data: bytes) -> None:
    """Read what a player says of the version of a playlist that it wants."""
    with suppress(WrongDirective):
        wish = parse_directives(data.decode("latin-1"))
        assert wish.part is None or wish.msn is not None


def _playlist(data: bytes) -> None:
    """Read a playlist, which came from an address that has what it may refer to."""
    with suppress(PeerError):
        playlist = parse_playlist(data, "http://host/a.m3u8?token=1", variables={"host": "cdn"})
        if isinstance(playlist, MediaPlaylist):
            assert playlist.target_duration > 0
            assert all(0 <= x.duration < 1e7 and x.uri for x in playlist.segments)
            ranges = [x.byte_range for x in playlist.segments if x.byte_range and not x.gap]
            assert all(x.length > 0 <= x.offset for x in ranges)
        else:
            assert all(x.uri and x.bandwidth >= 0 for x in playlist.variants)


def bodies(*parts: tuple[int, bytes]) -> bytes:
    """Write kinds and bodies of messages as `_media` reads them."""
    return b"".join(bytes([kind]) + len(body).to_bytes(2, "big") + body for kind, body in parts)


def _media(data: bytes) -> None:
    """Read messages of a publisher, and serialise what they are for players."""
    reader, place = MediaReader(), 0
    tracks: dict[int, Track] = {}
    serialisers = (FLVSerialiser(), RTMPSerialiser(), MPEGTSSerialiser())
    count = 0
    while place + 3 <= len(data):
        kind, size = data[place], int.from_bytes(data[place + 1 : place + 3], "big")
        body = data[place + 3 : place + 3 + size]
        place += 3 + size
        count += 1
        for event in reader.media(kind, count * 20, body):
            if isinstance(event, Track):
                describe(event)
                tracks[event.id] = event
                for serialiser in serialisers:
                    serialiser.tracks_changed(list(tracks.values()), {}, count)
                    serialiser.header(count)
            elif isinstance(event, Packet):
                assert event.track == tracks[event.track.id]
                for serialiser in serialisers:
                    serialiser.packet(event, [])
    assert reader.dropped >= 0
    _tags(data)


def _tags(data: bytes) -> None:
    """Read any bytes as the body of one message, after a good beginning and without one."""
    for beginning in ((), seeds.HEADERS):
        reader = TagReader()
        for kind, body in beginning:
            (reader.video if kind == TagType.VIDEO else reader.audio)(0, body)
        for event in (*reader.video(40, data), *reader.audio(40, data)):
            assert isinstance(event, Track | Packet)


def _names(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    app, _line, rest = text.partition("\n")
    name, _line, tc_url = rest.partition("\n")
    for parse in (lambda: parse_rtmp(app, name, tc_url), lambda: parse_path(text)):
        try:
            key = parse().key
        except BadName as error:
            assert str(error).isprintable()
            continue
        # It is canonical, and cannot lead out of a folder.
        assert stream_key(*key) == key
        assert all(part not in ("", ".", "..") and part.isprintable() for part in key)
        assert not any(letter in part for part in key for letter in "/\\\0\r\n")
        assert isinstance(key, StreamKey)


_http_heads = HeadParser()


def _heads(data: bytes) -> None:
    head, empty, _rest = data.partition(b"\r\n\r\n")
    with suppress(PeerError):
        found = _http_heads.parse(head + empty)
        assert found.target[:1] == b"/"
        assert found.body_length >= -1
        with suppress(Refused):
            target = media_target(found.target.decode("ascii"))
            if target is not None:
                assert target.address().key
        with suppress(NotSatisfiable):
            part = parse_range(found.header(b"range") or "", 1000)
            assert part is None or 0 <= part[0] < part[1] <= 1000


def _chunked(data: bytes) -> None:
    def read(pieces: Iterable[bytes]) -> object:
        body, found, rest = ChunkedBody(), b"", b""
        for piece in pieces:
            if body.complete or body.error:
                rest += piece
                continue
            end, parts = body.receive(piece, 0)
            found += b"".join(parts)
            rest += piece[end:]
        return found, body.complete, str(body.error), rest if body.complete else b""

    both_ways(data, read)


def _proxy(data: bytes) -> None:
    def read(pieces: Iterable[bytes]) -> object:
        seen = b""
        try:
            for piece in pieces:
                seen += piece
                header = parse_proxy_header(seen)
                if header is not None:
                    assert 0 < header.length <= len(seen)
                    return header
        except PeerError as error:
            return str(error)
        return None

    both_ways(data, read)


_TO_CONNECT = HANDSHAKE + CONNECT

TARGETS: dict[str, Target] = {
    "handshake": Target(_handshake(lambda: ServerHandshake(RANDOM)), seeds.GREETINGS),
    "client-handshake": Target(_handshake(lambda: ClientHandshake(RANDOM)), seeds.ANSWERS),
    "chunks": Target(_chunks, seeds.CHUNKS),
    "amf0": Target(_amf0, seeds.AMF0),
    "amf3": Target(_amf3, seeds.AMF3),
    "calls": Target(_calls, seeds.AMF0),
    "rtmp-server": Target(_session(HANDSHAKE, _server, accept), seeds.CHUNKS),
    "rtmp-server-waiting": Target(_session(_TO_CONNECT, _server, _no_answer), seeds.CHUNKS),
    "rtmp-publishing": Target(
        _session(_TO_CONNECT + CREATE_STREAM + PUBLISH, _server, accept), seeds.PUBLISHED
    ),
    "rtmp-playing": Target(
        _session(_TO_CONNECT + CREATE_STREAM + PLAY, _server, accept), seeds.CHUNKS
    ),
    "rtmp-client": Target(
        _session(b"", lambda: _client(publishing=False), _no_answer), seeds.ANSWERS
    ),
    "rtmp-client-publishing": Target(
        _session(b"", lambda: _client(publishing=True), _no_answer), seeds.ANSWERS
    ),
    "flv": Target(
        _demuxer,
        (
            file_header(True, True)
            + b"".join(tag(TagType(kind), 40, body) for kind, body in seeds.MEDIA),
            file_header(False, False),
        ),
    ),
    "mpegts": Target(_mpegts, seeds.MPEGTS),
    "fmp4": Target(_fmp4, seeds.FMP4),
    "mp4-movie": Target(_only_peer_errors(parse_movie), seeds.MOVIES),
    "m3u8": Target(_playlist, seeds.PLAYLISTS),
    "hls-directives": Target(_directives, seeds.DIRECTIVES),
    "media": Target(_media, (bodies(*seeds.MEDIA), bodies(*seeds.ENHANCED), bodies(*seeds.DATA))),
    "names": Target(_names, seeds.NAMES),
    "http-heads": Target(_heads, seeds.REQUESTS),
    "http-chunks": Target(_chunked, seeds.CHUNKED),
    "proxy": Target(_proxy, seeds.PROXY),
    **{
        "codec-" + name.lower().replace(" ", "-"): Target(_only_peer_errors(parse), (good,))
        for name, (parse, good) in PARSERS.items()
    },
}
