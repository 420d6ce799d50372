"""The RTP packets of live streams: one sender for each stream that somebody plays over RTSP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from ntvmedia.hub.datagrams import BURST_MS
from ntvmedia.hub.stream import Stream
from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtp.datagrams import DatagramSerialiser
from ntvmedia.wire.rtp.interleaving import InterleavedSerialiser
from ntvmedia.wire.rtp.stream_sender import RANDOM_BYTES, StreamSender

INTERLEAVED: Final = "rtsp"
"""The format of what is sent within a connection."""

DATAGRAMS: Final = "rtsp-udp"
"""The format of what is sent in datagrams."""


class _Feed:
    """Gives a sender all packets of its stream, in order: a `PacketSink`.

    Args:
        stream: Its own.
        sender: Takes them, for as long as somebody else has it too.
        untrue: Called when what was described of the stream is not true any more.
    """

    def __init__(self, stream: Stream, sender: StreamSender, untrue: Callable[[], None]) -> None:
        self._stream = stream
        self._sender = ref(sender)
        self._untrue = untrue

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        sender = self._sender()
        if sender is not None:
            sender.tracks_changed(tracks)
            for packet in backlog:
                sender.prepare(packet)

    def packet(self, packet: Packet) -> None:
        sender = self._sender()
        if sender is None:
            self._stream.detach(self)
        else:
            sender.prepare(packet)

    def batch_ended(self) -> None:
        pass

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        sender = self._sender()
        if sender is not None and not sender.tracks_changed(tracks):
            self._stream.detach(self)
            self._untrue()

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

    A sender lives while somebody has it: a client that has a description of the stream, or an
    output. It takes all packets of the stream meanwhile.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._by_stream: WeakKeyDictionary[Stream, ref[StreamSender]] = WeakKeyDictionary()
        self._by_name: WeakValueDictionary[str, StreamSender] = WeakValueDictionary()
        host.hub.register_format(INTERLEAVED, self._interleaved)
        host.hub.register_format(DATAGRAMS, self._datagrams)

    def of(self, stream: Stream) -> StreamSender:
        """Return the sender of a stream, made when there is none."""
        known = self._by_stream.get(stream)
        sender = None if known is None else known()
        if sender is None:
            host = self._host
            settings = host.settings.hub
            epoch = stream.epoch
            sender = StreamSender(
                host.random(RANDOM_BYTES),
                stream.started_at if epoch is None else epoch.wall_seconds,
                host.random(12).hex(),
                settings.gop_cache_bytes,
                settings.gop_cache_frames,
            )
            self._by_stream[stream] = ref(sender)
            self._by_name[sender.cname] = sender
            name = sender.cname
            stream.attach(_Feed(stream, sender, lambda: self._untrue(stream, name)))
        return sender

    def options(self, sender: StreamSender, channels: Mapping[int, int]) -> dict[str, str]:
        """Return what makes a rendition, whatever carries it.

        Args:
            sender: Of the stream that is played.
            channels: As in `InterleavedSerialiser`.
        """
        text = " ".join(f"{track}:{channel}" for track, channel in sorted(channels.items()))
        return {"channels": text, "sender": sender.cname}

    def _untrue(self, stream: Stream, name: str) -> None:
        """Send away who plays what is not there any more; he may ask for a description again."""
        self._by_stream.pop(stream, None)
        renditions = [x for x in stream.renditions.values() if ("sender", name) in x.key.options]
        for viewer in tuple(stream.viewers):
            if any(viewer.plays(rendition) for rendition in renditions):
                viewer.end("the stream has another codec now")

    def _interleaved(self, options: Mapping[str, str]) -> InterleavedSerialiser:
        return InterleavedSerialiser(*self._wanted(options), time.time)

    def _datagrams(self, options: Mapping[str, str]) -> DatagramSerialiser:
        return DatagramSerialiser(*self._wanted(options), time.time, BURST_MS)

    def _wanted(self, options: Mapping[str, str]) -> tuple[StreamSender, dict[int, int]]:
        """Read what `options` wrote."""
        pairs = (pair.split(":") for pair in options["channels"].split())
        channels = {int(track): int(channel) for track, channel in pairs}
        return self._by_name[options["sender"]], channels
