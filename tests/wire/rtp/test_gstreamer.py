"""GStreamer's payloaders to us: what they do otherwise than FFmpeg's."""

from __future__ import annotations

import re
import socket
import subprocess
from itertools import pairwise
from typing import NamedTuple

import pytest

from ntvmedia.media import Codec, MediaKind, Packet, Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import Format, find_format
from ntvmedia.wire.rtp.receiver import Receiver

PICTURE = "videotestsrc num-buffers=30 ! video/x-raw,width=320,height=240,framerate=30/1 ! "
SOUND = "audiotestsrc num-buffers=40 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! "


class Case(NamedTuple):
    """One pipeline.

    Attributes:
        pipeline: Up to the payloader.
        codec: What comes out.
        step: Ticks between packets, within one; 0 where that varies.
    """

    pipeline: str
    codec: Codec
    step: int


CASES = {
    "h264": Case(PICTURE + "x264enc key-int-max=10 ! rtph264pay", Codec.H264, 3000),
    "h264-aggregates": Case(
        PICTURE + "x264enc key-int-max=10 ! rtph264pay aggregate-mode=zero-latency",
        Codec.H264,
        3000,
    ),
    "hevc": Case(PICTURE + "x265enc ! rtph265pay config-interval=-1", Codec.HEVC, 3000),
    "vp8": Case(PICTURE + "vp8enc ! rtpvp8pay picture-id-mode=2", Codec.VP8, 3000),
    "vp9": Case(PICTURE + "vp9enc ! rtpvp9pay picture-id-mode=1", Codec.VP9, 3000),
    "aac": Case(SOUND + "avenc_aac ! aacparse ! rtpmp4gpay", Codec.AAC, 1024),
    "latm": Case(SOUND + "avenc_aac ! aacparse ! rtpmp4apay", Codec.AAC, 1024),
    "opus": Case(SOUND + "opusenc ! rtpopuspay", Codec.OPUS, 960),
    "mp3": Case(SOUND + "lamemp3enc ! mpegaudioparse ! rtpmpapay", Codec.MP3, 1152),
    "ac3": Case(SOUND + "avenc_ac3 ! ac3parse ! rtpac3pay", Codec.AC3, 1536),
}


def capture(pipeline: str) -> tuple[Format, list[bytes]]:
    """Run a pipeline; return its format, by its caps, and its packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        port.bind(("127.0.0.1", 0))
        port.settimeout(0.1)
        sink = f"udpsink host=127.0.0.1 port={port.getsockname()[1]} sync=false"
        command = f"gst-launch-1.0 -v {pipeline} pt=96 mtu=1000 ! {sink}"
        packets: list[bytes] = []
        with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as sender:
            ended = False
            while True:
                try:
                    packets.append(port.recv(65536))
                except TimeoutError:
                    if ended:
                        break
                    ended = sender.poll() is not None
            assert sender.stdout is not None
            lines = sender.stdout.read().splitlines()
        assert sender.returncode == 0
    caps = [line for line in lines if "encoding-name" in line and "udpsink" in line][-1]
    fields = dict(re.findall(r'([a-z0-9-]+)=\([a-z0-9]+\)("[^"]*"|[^,]+)', caps))
    told = {name: value.strip('"').replace("\\", "") for name, value in fields.items()}
    rtpmap = f"{told['encoding-name']}/{told['clock-rate']}/{told.get('encoding-params', '')}"
    found = find_format(96, rtpmap, told)
    assert found is not None
    return found, packets


@pytest.mark.parametrize("name", CASES)
def test_received(name: str) -> None:
    """D-RT-12: all of it, with even times, nothing damaged."""
    case = CASES[name]
    found, datagrams = capture(case.pipeline)
    target = Receiver(found, SessionClock())
    events = [event for data in datagrams for event in target.receive_packet(data, 50.0)]
    events += target.flush(50.0)
    packets = [event for event in events if isinstance(event, Packet)]
    assert [event.codec for event in events if isinstance(event, Track)] == [case.codec]
    assert (target.malformed, target.damaged, target.lost) == (0, 0, 0)
    # One for each buffer, but where a codec's frames are of another length.
    expected = 30 if case.codec.kind is MediaKind.VIDEO else 40 * 1024 // case.step
    assert expected - 7 <= len(packets) <= expected + 3
    if case.codec.kind is MediaKind.VIDEO:
        assert len(packets) == 30
    assert all(abs(b.dts - a.dts - case.step) <= 1 for a, b in pairwise(packets))
    assert all(packet.dts <= packet.pts for packet in packets)
