"""Our RTSP client as a program, for tests: `python -m tests.e2e.rtsp_client play|publish ...`.

What is played is written to an FLV file, and what is published is read from one. At its end it
prints what it did as JSON; an error is one line, and status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import ssl, task
from twisted.internet.defer import Deferred

from ntvmedia.clients.rtsp.client import RTSPClient
from ntvmedia.clients.rtsp.options import Carrier, Options, RTSPError
from ntvmedia.clients.rtsp.publishing import Target
from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.formats.flv import Demuxer, Tag, TagType
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.media.packets import Packet, Track
from ntvmedia.outbound.streams import StreamConnector


class Recorder:
    """A sink that keeps all."""

    def __init__(self) -> None:
        self.tracks: dict[int, Track] = {}
        self.events: list[Track | Packet] = []
        self.counts: Counter[str] = Counter()

    def track_received(self, track: Track) -> None:
        """Take a track."""
        self.tracks[track.id] = track
        self.events.append(track)

    def packet_received(self, packet: Packet) -> None:
        """Take a packet."""
        self.events.append(packet)
        self.counts[packet.track.codec.value] += 1

    def batch_ended(self) -> None:
        """Do nothing: all is written at the end."""

    def flv(self) -> bytes:
        """Return all that came, as a file."""
        serialiser = FLVSerialiser()
        known: dict[int, Track] = {}
        for track in self.events:
            if isinstance(track, Track):
                known.setdefault(track.id, track)
        serialiser.tracks_changed(list(known.values()), {}, 0)
        parts = [serialiser.header(0)]
        for event in self.events:
            if isinstance(event, Packet):
                serialiser.packet(event, parts)
            else:
                known[event.id] = event
                parts.append(serialiser.tracks_changed(list(known.values()), {}, 0))
        return b"".join(parts)


def read_flv(path: Path) -> list[Track | Packet]:
    """Return what is in a file."""
    demuxer, reader = Demuxer(), TagReader()
    demuxer.receive_data(path.read_bytes())
    events: list[Track | Packet] = []
    for tag in demuxer.events():
        if isinstance(tag, Tag) and tag.kind is TagType.VIDEO:
            events += reader.video(tag.timestamp, tag.body)
        elif isinstance(tag, Tag) and tag.kind is TagType.AUDIO:
            events += reader.audio(tag.timestamp, tag.body)
    return events


class Feeder:
    """Gives packets to a target at the pace of the media, then ends it."""

    def __init__(self, reactor: Any, packets: Iterable[Packet]) -> None:
        self._reactor = reactor
        self._packets = iter(packets)
        self._begun = 0.0
        self.sent = 0

    def start(self, target: Target) -> None:
        """Begin: the target is ready."""
        self._begun = self._reactor.seconds()
        self._target = target
        self._go_on(None)

    def _go_on(self, packet: Packet | None) -> None:
        if packet is not None:
            self._target.packet_received(packet)
            self.sent += 1
        for following in self._packets:
            due = self._begun + following.dts / following.track.clock_rate
            self._reactor.callLater(max(0.0, due - self._reactor.seconds()), self._go_on, following)
            return
        self._target.end()


async def work(reactor: Any, arguments: argparse.Namespace) -> None:
    """Play or publish, and say what came of it."""
    settings = parse_section(OutboundSettings, "outbound", {"allow": ["127.0.0.0/8"]})
    trust = None
    if arguments.trust:
        certificate: Any = ssl.Certificate.loadPEM(arguments.trust.read_bytes())
        trust = ssl.trustRootFromCertificates([certificate])
    client = RTSPClient(reactor, StreamConnector(reactor, settings, trust))
    options = Options(
        carrier=Carrier(arguments.carrier),
        fallback_seconds=arguments.fallback,
        silence_seconds=arguments.silence,
    )
    said: dict[str, object] = {}
    ending: Deferred[None]
    if arguments.action == "play":
        recorder = Recorder()
        ending = client.play(arguments.url, recorder, options)
    else:
        events = read_flv(arguments.path)
        tracks = {event.id: event for event in events if isinstance(event, Track)}
        feeder = Feeder(reactor, [event for event in events if isinstance(event, Packet)])
        ending = client.publish(arguments.url, list(tracks.values()), feeder.start, options)
    try:
        await ending
    finally:
        if arguments.action == "play":
            arguments.path.write_bytes(recorder.flv())
            said = {"packets": dict(recorder.counts)}
        else:
            said = {"sent": feeder.sent}
        await client.close()
        said["connections"] = client.connections
        said["left"] = sorted(type(reader).__name__ for reader in reactor.getReaders())
        sys.stdout.write(json.dumps(said))


def main(words: Sequence[str]) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["play", "publish"])
    parser.add_argument("url")
    parser.add_argument("path", type=Path)
    parser.add_argument("--carrier", default="auto")
    parser.add_argument("--trust", type=Path)
    parser.add_argument("--fallback", type=float, default=3.0)
    parser.add_argument("--silence", type=float, default=20.0)
    arguments = parser.parse_args(words)

    async def run(reactor: Any) -> None:
        try:
            await work(reactor, arguments)
        except RTSPError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None

    task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main(sys.argv[1:])
