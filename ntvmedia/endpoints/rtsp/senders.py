"""The RTP packets of live streams: one sender for each stream that somebody plays over RTSP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from ntvmedia.hub.stream import Stream
from ntvmedia.wire.rtp.interleaving import InterleavedSerialiser
from ntvmedia.wire.rtp.stream_sender import RANDOM_BYTES, StreamSender

INTERLEAVED: Final = "rtsp"
"""The format of what is sent within a connection."""


class Senders:
    """All of them; `host.part(Senders)` is the one of a server.

    A sender lives as long as its stream, or as somebody has what it makes.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._by_stream: WeakKeyDictionary[Stream, tuple[str, StreamSender]] = WeakKeyDictionary()
        self._by_name: WeakValueDictionary[str, StreamSender] = WeakValueDictionary()
        self._count = 0
        host.hub.register_format(INTERLEAVED, self._interleaved)

    def of(self, stream: Stream) -> StreamSender:
        """Return the sender of a stream, made when it is first asked for."""
        return self._entry(stream)[1]

    def options(self, stream: Stream, channels: Mapping[int, int]) -> tuple[tuple[str, str], ...]:
        """Return what makes an interleaved rendition.

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
        return entry

    def _interleaved(self, options: Mapping[str, str]) -> InterleavedSerialiser:
        pairs = (pair.split(":") for pair in options["channels"].split())
        channels = {int(track): int(channel) for track, channel in pairs}
        sender = self._by_name[options["sender"]]
        return InterleavedSerialiser(sender, channels, time.time)
