"""Good input for the fuzz targets: what real peers send, as the other tests have it."""

from __future__ import annotations

from ntvmedia.formats import amf0, fmp4_muxer
from ntvmedia.formats.flv import TagType
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire import amf3
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import Message
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.server import ServerSession
from tests.codecs import vectors
from tests.formats import flv_bytes, ts_bytes
from tests.wire.rtmp import traces
from tests.wire.rtmp.chunk_bytes import Encoder, pattern, size_message
from tests.wire.rtmp.conversation import (
    CLOSING,
    CONNECT,
    CREATE_STREAM,
    GREETING,
    HANDSHAKE,
    PLAY,
    PUBLISH,
    RANDOM,
    accept,
    command,
    message,
)

AUDIO, VIDEO, SCRIPT, AGGREGATE = int(TagType.AUDIO), int(TagType.VIDEO), int(TagType.SCRIPT), 22

_FRAME = flv_bytes.nal_units(b"\x65" + bytes(30), b"\x06" + bytes(9))

HEADERS = ((VIDEO, flv_bytes.AVC_HEADER), (AUDIO, flv_bytes.AAC_HEADER))

MEDIA = (
    *HEADERS,
    (VIDEO, flv_bytes.avc(_FRAME, 40)),
    (AUDIO, b"\xaf\x01" + bytes(20)),
    (VIDEO, flv_bytes.avc(_FRAME, 0, 0x27)),
    (VIDEO, b"\x17\x02\0\0\0"),
    (AUDIO, b"\x2f\xff\xfb\x90\x64" + bytes(413)),
)


def _enhanced(fourcc: bytes, config: bytes, frame: bytes) -> tuple[tuple[int, bytes], ...]:
    many = flv_bytes.many_tracks([(1, config), (2, config)], fourcc, 0, 0x96)
    frames = flv_bytes.many_codecs([(fourcc, 1, frame), (fourcc, 2, frame)], 3, 0x96)
    modified = b"\x97" + flv_bytes.modifier(b"\0\x01\x02", 1) + fourcc + b"\0\0\0" + frame
    return (
        (VIDEO, b"\x90" + fourcc + config),
        (VIDEO, b"\x91" + fourcc + b"\0\0\0" + frame),
        (VIDEO, b"\xa3" + fourcc + frame),
        (VIDEO, many),
        (VIDEO, frames),
        (VIDEO, modified),
        (VIDEO, b"\x94" + fourcc + amf0.encode("colorInfo", {"hdrCll": {"maxFall": 1.0}})),
    )


ENHANCED = (
    *_enhanced(b"hvc1", vectors.HVCC_720, _FRAME),
    *_enhanced(b"av01", vectors.AV1C_720, vectors.AV1_KEYFRAME_START),
    *_enhanced(b"vp09", vectors.VPCC_422, vectors.VP9_422),
    *_enhanced(b"avc1", vectors.AVCC_444, _FRAME),
    (AUDIO, b"\x90Opus" + vectors.OPUS_51),
    (AUDIO, b"\x91Opus" + b"\xff\x02"),
    (AUDIO, b"\x90fLaC" + vectors.FLAC_STREAMINFO),
    (AUDIO, b"\x91ac-3" + vectors.AC3_51),
    (AUDIO, b"\x91ec-3" + vectors.EAC3_51),
    (AUDIO, b"\x90mp4a" + vectors.AAC_LC_51),
    (AUDIO, b"\x94mp4a\x01\x02\0\0\0\x03"),
)

_METADATA = amf0.encode(
    "@setDataFrame", "onMetaData", amf0.ECMAArray({"width": 320.0, "a": [1.0, None, {"b": True}]})
)
DATA = (
    (SCRIPT, _METADATA),
    (15, b"\0" + _METADATA),
    (15, b"\0" + amf0.encode("onTextData") + b"\x11" + amf3.encode_value({"text": "a"})),
    (
        AGGREGATE,
        b"".join(
            bytes((kind,)) + len(body).to_bytes(3, "big") + bytes(7) + body + bytes(4)
            for kind, body in MEDIA
        ),
    ),
)

_TRACES = (
    traces.FFMPEG_PUBLISH,
    traces.FFMPEG_PLAY,
    traces.RTMPDUMP_PLAY,
    traces.FFMPEG_9_PUBLISH,
    traces.GSTREAMER_PUBLISH,
    traces.GSTREAMER_PLAY,
    traces.LIBRTMP_PUBLISH,
)


def _forms() -> bytes:
    """Return messages in all forms of header, interleaved, the chunk size changed among them."""
    encoder = Encoder()
    found = b""
    for form in range(4):
        for number in (3, 64, 320):
            found += b"".join(
                encoder.chunks(Message(9, 0xFFFFF0 + form * 40, 1, pattern(300), number), form)
            )
    encoder.chunk_size = 4096
    found += size_message(4096)
    return found + b"".join(encoder.chunks(Message(8, 1 << 33, 1, pattern(5000), 6), 1))


def publish(name: str) -> bytes:
    """Return the command that publishes a stream."""
    return command("publish", 3.0, None, name, "live", stream_id=1)


CHUNKS = (*_TRACES, CONNECT + CREATE_STREAM + PUBLISH, CONNECT + PLAY, _forms())

PUBLISHED = tuple(
    b"".join(
        message(kind, body, timestamp=40 * index, stream_id=1)
        for index, (kind, body) in enumerate(parts)
    )
    for parts in (MEDIA, ENHANCED, DATA)
)


def _client_hello() -> bytes:
    session = ClientSession(
        RANDOM, publishing=True, app="live", name="test", tc_url="rtmp://host/live"
    )
    return session.data_to_send() + CLOSING


def _answers(*requests: bytes) -> bytes:
    """Return all that a server says to a client."""
    session = ServerSession(RANDOM)
    session.receive_data(HANDSHAKE + b"".join(requests))
    for event in session.events():
        accept(session, event)
    return session.data_to_send()


GREETINGS = (HANDSHAKE, _client_hello(), GREETING)
ANSWERS = (
    _answers(CONNECT, CREATE_STREAM, PUBLISH),
    _answers(CONNECT, CREATE_STREAM, PLAY) + b"".join(PUBLISHED),
    _answers(CONNECT) + writer.ping_request(1) + writer.set_chunk_size(60000),
)

MPEGTS = (
    ts_bytes.sample(ts_bytes.H264, ts_bytes.AAC),
    ts_bytes.sample(ts_bytes.HEVC, ts_bytes.OPUS, ts_bytes.MP3),
    ts_bytes.sample(ts_bytes.AC3, ts_bytes.EAC3, size=192),
)

AMF0 = (
    *(payload for _kind, payload in DATA[:1]),
    amf0.encode("connect", 1.0, {"app": "live", "fourCcList": ["*", "av01"], "capsEx": 15.0}),
    amf0.encode("a", amf0.TypedObject("B", {"c": amf0.XML("<d/>")}), amf0.Date(1.0, 60)),
    amf0.encode(amf0.UNDEFINED, "x" * 70_000),
    amf0.encode("_result", 2.0, None) + b"\x11" + amf3.encode_value([{"a": 1.0}, "b", "b"]),
)
AMF3 = (
    b"\0" + AMF0[1],
    amf3.encode_value({"a": [1, 2.5, True, None, "b"], "c": {"a": "b"}}),
    b"\x0a\x23\x0bClass\x03x\x03y\x04\x01\x04\x02\x0a\x01\x04\x03\x04\x04",
    b"\x11\x05\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08\x09",
    b"\x0d\x05\x00\x00\x00\x00\x01\x00\x00\x00\x02\x0c\x07abc\x08\x01\0\0\0\0\0\0\0\0",
)

NAMES = (
    b"liveshow\ntest?token=a%20b\nrtmp://host:1935/liveshow?c=d",
    b"/liveshow/test?token=1&audio=1",
    b"liveshow/_definst_\nmp4:test",
    "tv\n\u043a\u0430\u043d\u0430\u043b\n".encode(),
    b"liveshow?a=1/test\n\n",
    b"/liveshow/%74est%2e/..%2f",
)

REQUESTS = (
    b"GET /liveshow/test.flv?audio=1 HTTP/1.1\r\nHost: a:80\r\nRange: bytes=0-10\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HEAD /a.flv HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"OPTIONS /liveshow/test.flv HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
)
CHUNKED = (
    b"3\r\nabc\r\n0\r\n\r\n",
    b"1;a=b\r\nx\r\n0A\r\n0123456789\r\n0\r\nTrailer: a\r\n\r\nGET / HTTP/1.1\r\n",
)
PROXY = (
    b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 1935\r\nrest",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 1935\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc3\x50\7\x8f",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + bytes(36),
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
)


def _fragments() -> bytes:
    video = Track(Codec.H264, config=vectors.AVCC_BASELINE)
    audio = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO)
    muxer = fmp4_muxer.Muxer([video, audio])
    picture = bytes.fromhex("00000004 65888402")
    written = b""
    for number in range(4):
        muxer.packet(Packet(video, number * 3600, number * 3600 + 3600, number == 0, picture))
        muxer.packet(Packet(audio, number * 1024, number * 1024, True, b"\x21\x00\x03"))
        written += muxer.fragment()
    return muxer.init_segment() + written + muxer.finish()


FMP4 = (_fragments(),)
MOVIES = (FMP4[0][FMP4[0].index(b"moov") - 4 :],)
PLAYLISTS = (
    b"""#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-START:TIME-OFFSET=-8.5,PRECISE=YES
#EXT-X-DEFINE:QUERYPARAM="token"
#EXT-X-DEFINE:NAME="a",VALUE="b/{$token}"
#EXT-X-KEY:METHOD=AES-128,URI="{$a}.key",IV=0x0123456789abcdef0123456789abcdef
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://a",KEYFORMAT="com.apple.streamingkeydelivery"
#EXT-X-MAP:URI="init.mp4",BYTERANGE="700@0"
#EXT-X-PROGRAM-DATE-TIME:2010-02-19T14:54:23.031+08:00
#EXTINF:4.004,title
#EXT-X-BYTERANGE:1000@700
{$a}.mp4
#EXT-X-DISCONTINUITY
#EXT-X-GAP
#EXT-X-BYTERANGE:1000
#EXTINF:3,967,
a.mp4
#EXT-X-KEY:METHOD=NONE
#EXTINF:-1 x="y"
c.mp4
#EXT-X-ENDLIST
""",
    b"""#EXTM3U
#EXT-X-DEFINE:IMPORT="host"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,CHANNELS="6/JOC",URI="{$host}.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="avc1,mp4a",RESOLUTION=640x360,FRAME-RATE=25,AUDIO="a"
v.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=1, BANDWIDTH=None
w.m3u8
""",
)
DIRECTIVES = (b"_HLS_msn=1795329325&_HLS_part=3&_HLS_skip=YES", b"_HLS_skip=v2", b"a=b&_HLS_part=1")
