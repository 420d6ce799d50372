"""A muxer of this checkout in a loop: `python -m bench.muxloop FLV FORMAT SECONDS`.

It is run as a process of its own, like the servers, and is the one module here that imports what
is measured. Packets are read before the clock runs; what is timed is what each packet costs
within HLS. MPEG-TS: PES, PAT and PMT at each keyframe, and joining a segment. Fragmented MP4: a
fragment at each keyframe, or ("ll") one for each part, and joining those too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.flv import VIDEO
from bench.source import Source, read_source
from ntvmedia.formats import fmp4_muxer, mpegts_muxer
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import MediaKind, Packet, Track

# As HLS has it (`ntvmedia.endpoints.http.hls.segmenter`).
_GATHER_SECONDS: Final = 0.15

# A little less than the 200 ms of six pictures, whose times are whole milliseconds.
_PART_SECONDS: Final = 0.19


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


def mux_loop(source: Source, form: str, cpu_seconds: float) -> dict[str, float]:
    """Mux the loop again and again for so much CPU time, at least once.

    Args:
        source: What is muxed.
        form: One of `FORMATS`.
        cpu_seconds: How long.

    Returns:
        CPU and media seconds, and the bytes that came out.
    """
    tracks, packets = read_media(source)
    mux = FORMATS[form]
    media = written = 0
    begin = time.process_time()
    while True:
        written += mux(tracks, packets)
        media += source.loop_ms
        used = time.process_time() - begin
        if used >= cpu_seconds:
            return {"cpu_seconds": used, "media_seconds": media / 1000, "bytes": written}


def _mpegts(tracks: list[Track], packets: list[Packet]) -> int:
    muxer = mpegts_muxer.Muxer(tracks, audio_gather_seconds=_GATHER_SECONDS)
    parts, size = list[bytes](), 0
    for packet in packets:
        if packet.is_keyframe and packet.track.kind is MediaKind.VIDEO:
            muxer.flush(parts)
            size += len(b"".join(parts))
            parts = [muxer.tables()]
        muxer.packet(packet, parts)
    muxer.flush(parts)
    return size + len(b"".join(parts))


def _fmp4(tracks: list[Track], packets: list[Packet]) -> int:
    muxer, size = fmp4_muxer.Muxer(tracks), 0
    for packet in packets:
        if packet.is_keyframe and packet.track.kind is MediaKind.VIDEO:
            size += len(muxer.fragment(packet))
        muxer.packet(packet)
    return size + len(muxer.finish()) + len(muxer.init_segment())


def _fmp4_parts(tracks: list[Track], packets: list[Packet]) -> int:
    muxer, parts, size = fmp4_muxer.Muxer(tracks), list[bytes](), 0
    cut_at = 0.0
    for packet in packets:
        if packet.track.kind is MediaKind.VIDEO:
            at = packet.dts / packet.track.clock_rate
            if packet.is_keyframe or at >= cut_at:
                parts.append(muxer.fragment(packet))
                cut_at = at + _PART_SECONDS
            if packet.is_keyframe:
                size += len(b"".join(parts))
                parts = []
        muxer.packet(packet)
    parts.append(muxer.finish())
    return size + len(b"".join(parts)) + len(muxer.init_segment())


FORMATS: Final[dict[str, Callable[[list[Track], list[Packet]], int]]] = {
    "ts": _mpegts,
    "fmp4": _fmp4,
    "ll": _fmp4_parts,
}


if __name__ == "__main__":
    _path, _form, _seconds = sys.argv[1:]
    _result = mux_loop(read_source(Path(_path).read_bytes()), _form, float(_seconds))
    sys.stdout.write(json.dumps(_result))
