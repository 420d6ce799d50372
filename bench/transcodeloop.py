"""Our transcoding of a file, as its child process does it: `python -m bench.transcodeloop FLV`.

It prints how many pictures came out. Packets are put into frames of the pipe as the child does,
and thrown away.
"""

from __future__ import annotations

import sys
from typing import Any

import av

from bench.transcoding import HEIGHT, KBPS, PRESET
from ntvmedia.avtools.framing import build_packet
from ntvmedia.avtools.tracks import stream_of
from ntvmedia.avtools.transcoding import Pipeline
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions


def transcode(path: str) -> int:
    """Transcode a file, and return how many pictures came out."""
    pictures = 0

    def emit(output: int, made: Track | Packet) -> None:
        nonlocal pictures
        if isinstance(made, Packet):
            build_packet(made, output)
            pictures += made.track.kind is MediaKind.VIDEO

    video = VideoOptions("h264", KBPS, height=HEIGHT, preset=PRESET)
    pipeline = Pipeline([OutputOptions(video, AudioOptions("aac"))], emit, lambda _line: None)
    opened: Any = av.open(path)
    with opened as container:
        for stream in container.streams:
            known = stream_of(stream)
            if known is not None:
                pipeline.add_stream(stream.index, known)
        for packet in container.demux():
            if packet.size:
                pipeline.feed(packet.stream_index, packet)
    pipeline.flush()
    return pictures


if __name__ == "__main__":
    sys.stdout.write(str(transcode(sys.argv[1])))
