"""A process that pulls one stream with a source of ours, and writes down what it is given.

`python -m tests.e2e.pull_process OUT URL SECONDS [--h264]` writes lines of JSON to OUT, each as it
happens: `["track", seconds, codec, number, config]`, `["packet", seconds, kind, dts, pts, keyframe,
size, MD5]` with times in seconds, `["note", seconds, line]`, and last `["end", seconds, error,
status, permanent, peak memory in MB]`. Pictures go to a file beside OUT, in Annex B, with the
ending ".h264".
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.clients.http.source import HTTPSource
from ntvmedia.codecs import h264
from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.relaying import AudioOptions, OutputOptions, PullOptions, VideoOptions
from ntvmedia.outbound.client import Outbound

STALL_SECONDS = 6.0
HOPS = ("one", "two")
START = b"\0\0\0\1"


class Host(NamedTuple):
    """As much of `IHost` as a source over HTTP needs."""

    reactor: Any
    outbound: Any
    server_id: str
    random: Any


@implementer(IPullSink)
class Writer:
    """Writes lines.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._started = time.monotonic()
        self._pictures = path.with_suffix(".h264").open("wb")

    def write(self, word: str, *values: object) -> None:
        """Write one."""
        line = (word, round(time.monotonic() - self._started, 4), *values)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def track_received(self, track: Track) -> None:
        self.write("track", track.codec, track.number, track.config.hex())
        if track.codec is Codec.H264:
            config = h264.parse_configuration(track.config)
            self._pictures.write(b"".join(START + unit for unit in (*config.sps, *config.pps)))

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        self.write("metadata", sorted(fields))

    def packet_received(self, packet: Packet) -> None:
        track, dts, pts, is_keyframe, payload = packet
        rate = track.clock_rate
        times = round(dts / rate, 5), round(pts / rate, 5)
        digest = hashlib.md5(payload, usedforsecurity=False).hexdigest()
        self.write("packet", track.kind, *times, is_keyframe, len(payload), digest)
        place = 0
        while track.codec is Codec.H264 and place < len(payload):
            size = int.from_bytes(payload[place : place + 4], "big")
            self._pictures.write(START + payload[place + 4 : place + 4 + size])
            place += 4 + size
        self._pictures.flush()

    def batch_ended(self) -> None:
        pass

    def noted(self, line: str) -> None:
        self.write("note", line)


def main() -> None:
    """Pull."""
    out, url, seconds, *more = sys.argv[1:]
    reactor: Any = EPollReactor()
    # Children are waited for by the one reactor that Twisted knows.
    from twisted.internet.main import installReactor

    installReactor(reactor)
    section = parse_section(OutboundSettings, "outbound", {"allow": "127.0.0.1", "timeout": 10.0})
    outbound = Outbound(reactor, section)
    host: Any = Host(reactor, outbound, "here", os.urandom)
    writer = Writer(Path(out))
    options = PullOptions(stall_seconds=STALL_SECONDS, hops=HOPS)
    wanted = OutputOptions()
    if "--h264" in more:
        wanted = OutputOptions(VideoOptions("h264", preset="ultrafast"), AudioOptions("aac"))
    pulling: list[Deferred[None]] = []

    def ended(result: Any) -> None:
        error: BaseException | None = result.value if isinstance(result, Failure) else None
        if error is None:
            values: tuple[object, ...] = ("", 0, False)
        elif isinstance(error, RemoteError):
            values = (str(error), error.status, error.is_permanent)
        else:
            values = (type(error).__name__, 0, False)
            if not isinstance(error, CancelledError):
                result.printTraceback()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        writer.write("end", *values, peak)
        outbound.close().addBoth(lambda _closed: reactor.callLater(0.1, reactor.stop))

    def begin() -> None:
        source = HTTPSource()
        if wanted.is_copy:
            pulling.append(source.pull(host, url, options, writer))
        else:
            pulling.append(source.pull_transcoded(host, url, options, ((wanted, writer),)))
        pulling[0].addBoth(ended)
        reactor.callLater(float(seconds), pulling[0].cancel)

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main()
