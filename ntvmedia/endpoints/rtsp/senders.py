"""The RTP packets of live streams: one sender for each stream that somebody plays over RTSP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from ntvmedia.hub.datagrams import BURST_MS
from ntvmedia.hub.stream import Stream
from ntvmedia.media import Packet, Track, to_milliseconds
from ntvmedia.wire.rtp.datagrams import DatagramSerialiser
from ntvmedia.wire.rtp.interleaving import InterleavedSerialiser
from ntvmedia.wire.rtp.stream_sender import RANDOM_BYTES, StreamSender

INTERLEAVED: Final = "rtsp"
"""The format of what is sent within a connection."""

DATAGRAMS: Final = "rtsp-udp"
"""The format of what is sent in datagrams."""

# In ms of the stream: longer than from a description to PLAY, after which a session is over.
UNUSED_MS: Final = 120_000


class _Feed:
    """Gives a sender all packets of its stream, in order: a `PacketSink`.

    Args:
        sender: Takes them.
        unused: Called when no output has had any for `UNUSED_MS`.
    """

    def __init__(self, sender: StreamSender, unused: Callable[[_Feed], None]) -> None:
        self._sender = sender
        self._unused = unused

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        self._sender.tracks_changed(tracks)
        for packet in backlog:
            self._sender.prepare(packet)
            self._sender.used_at_ms = to_milliseconds(packet.dts, packet.track.clock_rate)

    def packet(self, packet: Packet) -> None:
        self._sender.prepare(packet)

    def batch_ended(self) -> None:
        now_ms = self._sender.newest_ms
        if now_ms - self._sender.used_at_ms > UNUSED_MS:
            self._unused(self)

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        self._sender.tracks_changed(tracks)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        pass

    def publisher_lost(self) -> None:
        pass

    def end(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Senders:
    """All of them; `host.part(Senders)` is the one of a server.

    A sender is made when somebody wants to play, and takes all packets of its stream until nobody
    has had any of what it makes for a while.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._by_stream: WeakKeyDictionary[Stream, tuple[str, StreamSender]] = WeakKeyDictionary()
        self._by_name: WeakValueDictionary[str, StreamSender] = WeakValueDictionary()
        self._count = 0
        host.hub.register_format(INTERLEAVED, self._interleaved)
        host.hub.register_format(DATAGRAMS, self._datagrams)

    def of(self, stream: Stream) -> StreamSender:
        """Return the sender of a stream, made when it is first asked for."""
        return self._entry(stream)[1]

    def options(self, stream: Stream, channels: Mapping[int, int]) -> tuple[tuple[str, str], ...]:
        """Return what makes a rendition, whatever carries it.

        Args:
            stream: What is played.
            channels: As in `InterleavedSerialiser`.
        """
        text = " ".join(f"{track}:{channel}" for track, channel in sorted(channels.items()))
        return (("channels", text), ("sender", self._entry(stream)[0]))

    def _entry(self, stream: Stream) -> tuple[str, StreamSender]:
        entry = self._by_stream.get(stream)
        if entry is None:
            host = self._host
            self._count += 1
            epoch = stream.epoch
            sender = StreamSender(
                host.random(RANDOM_BYTES),
                stream.started_at if epoch is None else epoch.wall_seconds,
                host.random(12).hex(),
                host.settings.hub.gop_cache_bytes,
            )
            entry = self._by_stream[stream] = (str(self._count), sender)
            self._by_name[entry[0]] = sender
            stream.attach(_Feed(sender, lambda feed: self._unused(stream, feed)))
        return entry

    def _unused(self, stream: Stream, feed: _Feed) -> None:
        self._by_stream.pop(stream, None)
        stream.detach(feed)

    def _interleaved(self, options: Mapping[str, str]) -> InterleavedSerialiser:
        return InterleavedSerialiser(*self._wanted(options), time.time)

    def _datagrams(self, options: Mapping[str, str]) -> DatagramSerialiser:
        return DatagramSerialiser(*self._wanted(options), time.time, BURST_MS)

    def _wanted(self, options: Mapping[str, str]) -> tuple[StreamSender, dict[int, int]]:
        """Read what `options` wrote."""
        pairs = (pair.split(":") for pair in options["channels"].split())
        channels = {int(track): int(channel) for track, channel in pairs}
        return self._by_name[options["sender"]], channels
