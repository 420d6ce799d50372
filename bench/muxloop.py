"""The MPEG-TS muxer of this checkout in a loop: `python -m bench.muxloop FLV SECONDS`.

It is run as a process of its own, like the servers, and is the one module here that imports what
is measured. Packets are read before the clock runs; what is timed is what each packet costs
within HLS: PES, PAT and PMT at each keyframe, and joining a segment.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.flv import VIDEO
from bench.source import Source, read_source
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.mpegts_muxer import Muxer
from ntvmedia.media import MediaKind, Packet, Track

# As HLS has it (`ntvmedia.endpoints.http.hls.segmenter`).
_GATHER_SECONDS = 0.15


def read_media(source: Source) -> tuple[list[Track], list[Packet]]:
    """Return the tracks and all packets of one pass of the loop."""
    reader = TagReader()
    tracks: dict[int, Track] = {}
    packets: list[Packet] = []
    for frame in (*source.headers, *source.frames):
        read = reader.video if frame.kind == VIDEO else reader.audio
        for event in read(frame.at, frame.body):
            if isinstance(event, Packet):
                packets.append(event)
                tracks[event.track.id] = event.track
    return list(tracks.values()), packets


def mux_loop(source: Source, cpu_seconds: float) -> dict[str, float]:
    """Mux the loop again and again for so much CPU time, at least once.

    Returns:
        CPU and media seconds, and the bytes that came out.
    """
    tracks, packets = read_media(source)
    media = written = 0
    begin = time.process_time()
    while True:
        written += _mux(tracks, packets)
        media += source.loop_ms
        used = time.process_time() - begin
        if used >= cpu_seconds:
            return {"cpu_seconds": used, "media_seconds": media / 1000, "bytes": written}


def _mux(tracks: list[Track], packets: list[Packet]) -> int:
    muxer, parts, size = Muxer(tracks, audio_gather_seconds=_GATHER_SECONDS), list[bytes](), 0
    for packet in packets:
        if packet.is_keyframe and packet.track.kind is MediaKind.VIDEO:
            muxer.flush(parts)
            size += len(b"".join(parts))
            parts = [muxer.tables()]
        muxer.packet(packet, parts)
    muxer.flush(parts)
    return size + len(b"".join(parts))


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps(mux_loop(read_source(Path(sys.argv[1]).read_bytes()), float(sys.argv[2])))
    )
