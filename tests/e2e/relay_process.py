"""A source or a target of relays as a program: `python -m tests.e2e.relay_process pull|push ...`.

What is pulled is written to an FLV file, and what is pushed is read from one. At its end it prints
what it did as JSON; an error is one line, and status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import ssl, task
from twisted.internet.defer import Deferred, gatherResults
from twisted.plugin import getPlugins

from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource, ITarget
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.relaying import PullOptions, PushOptions
from ntvmedia.outbound.streams import StreamConnector
from tests.e2e.rtsp_client import Feeder, Recorder, read_flv

# A server refuses to send a stream to one that it came from.
PULL_HOPS, PUSH_HOPS = ("0123456789abcdef",), ("fedcba9876543210",)


class Host:
    """As much of `IHost` as these need."""

    def __init__(self, reactor: Any, trust: Any) -> None:
        settings = parse_section(OutboundSettings, "outbound", {"allow": ["127.0.0.0/8"]})
        self.reactor = reactor
        self.connector = StreamConnector(reactor, settings, trust)
        self.random = os.urandom
        self.server_id = PULL_HOPS[-1]
        self.parts: dict[Any, Any] = {}

    def part(self, kind: Any) -> Any:
        """Return the one of a kind."""
        if kind not in self.parts:
            self.parts[kind] = kind(self)
            self.parts[kind].startService()
        return self.parts[kind]


class Sink(Recorder):
    """Keeps all; reads in rounds where that is possible."""

    patience = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, object] = {}

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Keep it."""
        self.fields.update(fields)

    def noted(self, line: str) -> None:
        """Show it."""
        sys.stderr.write(f"{line}\n")


class Giver(Feeder):
    """Gives packets to a feed, which is told all tracks, and sends each on at once."""

    def __init__(self, reactor: Any, tracks: Sequence[Track], packets: Sequence[Packet]) -> None:
        super().__init__(reactor, packets)
        self._tracks = tracks
        self.feed: Any = None

    def begin(self, feed: Any) -> None:
        """Begin: the feed is ready."""
        self.feed = feed
        for track in self._tracks:
            feed.track_received(track)
        self.start(self)  # type: ignore[arg-type]

    def packet_received(self, packet: Packet) -> None:
        """Give it on."""
        self.feed.packet_received(packet)
        self.feed.batch_ended()

    def end(self) -> None:
        """Likewise."""
        self.feed.end()


def _of(interface: Any, url: str) -> Any:
    scheme = url.partition(":")[0]
    return next(found for found in getPlugins(interface) if scheme in found.schemes)


async def work(reactor: Any, arguments: argparse.Namespace) -> None:
    """Pull or push, and say what came of it."""
    trust = None
    if arguments.trust:
        certificate: Any = ssl.Certificate.loadPEM(arguments.trust.read_bytes())
        trust = ssl.trustRootFromCertificates([certificate])
    host: Any = Host(reactor, trust)
    said: dict[str, object] = {}
    ending: Deferred[None]
    if arguments.action == "pull":
        sink = Sink()
        pulled = PullOptions(arguments.transport, stall_seconds=10.0, hops=PULL_HOPS)
        ending = _of(ISource, arguments.url).pull(host, arguments.url, pulled, sink)
    else:
        events = read_flv(arguments.path)
        tracks = list({event.id: event for event in events if isinstance(event, Track)}.values())
        giver = Giver(reactor, tracks, [event for event in events if isinstance(event, Packet)])
        pushed = PushOptions(arguments.transport, stall_seconds=10.0, hops=PUSH_HOPS)
        target = _of(ITarget, arguments.url)
        ending = target.push(host, arguments.url, tracks, {}, pushed, giver.begin)
    try:
        await ending
    finally:
        if arguments.action == "pull":
            arguments.path.write_bytes(sink.flv())
            said = {"packets": dict(sink.counts)}
        else:
            feed = giver.feed
            said = {"sent": giver.sent, "dropped": feed.dropped if feed else 0}
            said["bytes_out"] = feed.bytes_out if feed else 0
        await gatherResults([part.stopService() for part in host.parts.values()])
        said["left"] = sorted(type(reader).__name__ for reader in reactor.getReaders())
        sys.stdout.write(json.dumps(said))


def main(words: Sequence[str]) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["pull", "push"])
    parser.add_argument("url")
    parser.add_argument("path", type=Path)
    parser.add_argument("--transport", default="auto")
    parser.add_argument("--trust", type=Path)
    arguments = parser.parse_args(words)

    async def run(reactor: Any) -> None:
        try:
            await work(reactor, arguments)
        except RemoteError as error:
            kind = "permanent" if error.is_permanent else "passing"
            sys.stderr.write(f"{kind} {error.status} {error}\n")
            raise SystemExit(1) from None

    task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main(sys.argv[1:])
