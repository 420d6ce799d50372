"""What real clients send, as this workplace's own recordings have it: word for word."""

from __future__ import annotations

from typing import Final


def crlf(text: str) -> bytes:
    """Return text as it goes over the wire."""
    return text.replace("\n", "\r\n").encode()


# ffmpeg 5.1: -f rtsp -rtsp_transport tcp rtsp://127.0.0.1:9101/live/test?password=x
FFMPEG_OPTIONS: Final = crlf(
    """OPTIONS rtsp://127.0.0.1:9101/live/test?password=x RTSP/1.0
CSeq: 1
User-Agent: Lavf59.27.100

"""
)
FFMPEG_SDP: Final = crlf(
    """v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 127.0.0.1
t=0 0
a=tool:libavformat LIBAVFORMAT_VERSION
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z/QACpGWQKEficBEAAADAAQAAAMAUjxImSA=,\
aOvDxEhE; profile-level-id=F4000A
a=control:streamid=0
m=audio 0 RTP/AVP 97
b=AS:69
a=rtpmap:97 MPEG4-GENERIC/44100/1
a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; \
config=120856E500
a=control:streamid=1
"""
)
FFMPEG_ANNOUNCE: Final = (
    crlf(
        """ANNOUNCE rtsp://127.0.0.1:9101/live/test?password=x RTSP/1.0
Content-Type: application/sdp
CSeq: 2
User-Agent: Lavf59.27.100
Content-Length: 499

"""
    )
    + FFMPEG_SDP
)
FFMPEG_SETUP_0: Final = crlf(
    """SETUP rtsp://127.0.0.1:9101/live/test?password=x/streamid=0 RTSP/1.0
Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record
CSeq: 3
User-Agent: Lavf59.27.100

"""
)
FFMPEG_SETUP_1: Final = crlf(
    """SETUP rtsp://127.0.0.1:9101/live/test?password=x/streamid=1 RTSP/1.0
Transport: RTP/AVP/TCP;unicast;interleaved=2-3;mode=record
CSeq: 4
User-Agent: Lavf59.27.100
Session: 12345678

"""
)
FFMPEG_RECORD: Final = crlf(
    """RECORD rtsp://127.0.0.1:9101/live/test?password=x RTSP/1.0
Range: npt=0.000-
CSeq: 5
User-Agent: Lavf59.27.100
Session: 12345678

"""
)
# Its first three frames: a sender report of either track, and video.
FFMPEG_FRAMES: Final = (
    bytes.fromhex("2403001c80c80006f6faf209eead38a0722d0e56ffa6e0040000000000000000")
    + bytes.fromhex("2401001c80c80006ac6bd592eead38a072f1a9fb657d1c180000000000000000")
    + bytes.fromhex("2400001080600237657d1308ac6bd59265888400")
)
FFMPEG_TEARDOWN: Final = crlf(
    """TEARDOWN rtsp://127.0.0.1:9101/live/test?password=x RTSP/1.0
CSeq: 6
User-Agent: Lavf59.27.100
Session: 12345678

"""
)
FFMPEG_PUBLISHES: Final = (
    FFMPEG_OPTIONS,
    FFMPEG_ANNOUNCE,
    FFMPEG_SETUP_0,
    FFMPEG_SETUP_1,
    FFMPEG_RECORD,
    FFMPEG_FRAMES,
    FFMPEG_TEARDOWN,
)

# ffmpeg 9 plays with user "us" and password "pa"; the challenge was
# Digest realm="ntv", nonce="abc"
FFMPEG_DIGEST: Final = crlf(
    """DESCRIBE rtsp://127.0.0.1:9104/live/test?a=b RTSP/1.0
Accept: application/sdp
CSeq: 3
User-Agent: Lavf63.1.102
Authorization: Digest username="us", realm="ntv", nonce="abc", \
uri="rtsp://127.0.0.1:9104/live/test?a=b", response="e2c6da041360c70caa6efaf80e450979"

"""
)
# ffmpeg 5.1, where the challenge had opaque="op", qop="auth", algorithm=MD5
FFMPEG_DIGEST_QOP: Final = crlf(
    """SETUP rtsp://127.0.0.1:9105/live/test/trackID=0 RTSP/1.0
Transport: RTP/AVP/UDP;unicast;client_port=11844-11845
CSeq: 4
User-Agent: Lavf59.27.100
Authorization: Digest username="us", realm="ntv", nonce="abc", \
uri="rtsp://127.0.0.1:9105/live/test/trackID=0", \
response="03001616b0f4b832ed5b6ba40aacd314", algorithm="MD5", opaque="op", qop="auth", \
cnonce="a157ea55935f88d7", nc=00000002

"""
)

# GStreamer 1.22: rtspsrc location=rtsp://127.0.0.1:9107/live/test
GSTREAMER_OPTIONS: Final = crlf(
    """OPTIONS rtsp://127.0.0.1:9107/live/test RTSP/1.0
CSeq: 1
User-Agent: GStreamer/1.22.0
User-Agent: RealMedia Player Version 6.0.9.1235 (linux-2.0-libc6-i386-gcc2.95)
ClientChallenge: 9e26d33f2984236010ef6253fb1887f7
CompanyID: KnKV4M4I/B2FjJ1TToLycw==
GUID: 00000000-0000-0000-0000-000000000000
RegionData: 0
PlayerStarttime: [28/03/2003:22:50:23 00:00]
ClientID: Linux_2.4_6.0.9.1235_play32_RN01_EN_586
Date: Sun, 22 Nov 2026 09:47:27 GMT

"""
)
GSTREAMER_DESCRIBE: Final = crlf(
    """DESCRIBE rtsp://127.0.0.1:9107/live/test RTSP/1.0
CSeq: 2
User-Agent: GStreamer/1.22.0
Accept: application/sdp
Date: Sun, 22 Nov 2026 09:47:27 GMT

"""
)
GSTREAMER_SETUP: Final = crlf(
    """SETUP rtsp://127.0.0.1:9107/live/test/trackID=0 RTSP/1.0
CSeq: 3
User-Agent: GStreamer/1.22.0
Transport: RTP/AVP;unicast;client_port=35704-35705
Date: Sun, 22 Nov 2026 09:47:27 GMT

"""
)
GSTREAMER_PLAY: Final = crlf(
    """PLAY rtsp://127.0.0.1:9107/live/test/ RTSP/1.0
CSeq: 5
User-Agent: GStreamer/1.22.0
Range: npt=0-
Session: 12345678
Date: Sun, 22 Nov 2026 09:47:27 GMT

"""
)
GSTREAMER_PLAYS: Final = (
    GSTREAMER_OPTIONS,
    GSTREAMER_DESCRIBE,
    GSTREAMER_SETUP,
    GSTREAMER_PLAY,
)

# GStreamer 1.22: rtspclientsink location=rtsp://127.0.0.1:9109/live/test protocols=tcp
GSTREAMER_SDP: Final = crlf(
    """v=0
o=- 3743202117 1 IN IP4 127.0.0.1
s=Session streamed with GStreamer
i=rtspclientsink
t=0 0
a=tool:GStreamer
m=video 0 RTP/AVP 96
c=IN IP4 0.0.0.0
b=AS:2097
a=rtpmap:96 H264/90000
a=framerate:30
a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z/QADZDZZAoR+JwFqDAwMgAAAwACAAADAHkeKFSQ,\
aOvMRIRA
a=control:stream=0
a=ts-refclk:local
a=mediaclk:sender
a=ssrc:300374054 cname:user3865477732@host
"""
)
GSTREAMER_ANNOUNCE: Final = (
    crlf(
        f"""ANNOUNCE rtsp://127.0.0.1:9109/live/test RTSP/1.0
CSeq: 2
User-Agent: GStreamer/1.22.0
Content-Type: application/sdp
Date: Sun, 22 Nov 2026 09:47:33 GMT
Content-Length: {len(GSTREAMER_SDP)}

"""
    )
    + GSTREAMER_SDP
)
GSTREAMER_SETUP_RECORD: Final = crlf(
    """SETUP rtsp://127.0.0.1:9109/live/test/stream=0 RTSP/1.0
CSeq: 3
User-Agent: GStreamer/1.22.0
Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=RECORD
Date: Sun, 22 Nov 2026 09:47:33 GMT

"""
)
GSTREAMER_RECORD: Final = crlf(
    """RECORD rtsp://127.0.0.1:9109/live/test RTSP/1.0
CSeq: 4
User-Agent: GStreamer/1.22.0
Session: 12345678
Date: Sun, 22 Nov 2026 09:47:33 GMT

"""
)
GSTREAMER_LEAVES: Final = crlf(
    """PAUSE rtsp://127.0.0.1:9109/live/test RTSP/1.0
CSeq: 5
User-Agent: GStreamer/1.22.0
Session: 12345678
Date: Sun, 22 Nov 2026 09:47:34 GMT

TEARDOWN rtsp://127.0.0.1:9109/live/test RTSP/1.0
CSeq: 6
User-Agent: GStreamer/1.22.0
Session: 12345678
Date: Sun, 22 Nov 2026 09:47:34 GMT

"""
)
GSTREAMER_PUBLISHES: Final = (
    GSTREAMER_ANNOUNCE,
    GSTREAMER_SETUP_RECORD,
    GSTREAMER_RECORD,
    GSTREAMER_LEAVES,
)
