"""Playing: what comes goes to a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntvmedia.clients.passing import tell_passed
from ntvmedia.wire.rtmp.events import MetadataReceived

if TYPE_CHECKING:
    from ntvmedia.clients.rtmp.connection import ClientConnection


class Player:
    """What one connection plays.

    Args:
        sink: An `ntvmedia.interfaces.IPullSink`. Where it has an attribute `patience`, that is the
            seconds for which media may wait to be read, as of a `Publication`.
        server_id: Our own.

    Attributes:
        publishes: False.
    """

    def __init__(self, sink: Any, server_id: str = "") -> None:
        self.publishes = False
        self.packet_received = sink.packet_received
        self.track_received = sink.track_received
        self._sink = sink
        self._server_id = server_id

    def accepted(self, connection: ClientConnection) -> None:
        """Tell where the stream was before; media comes by itself."""
        tell_passed(self._sink, connection.hops, self._server_id)

    def metadata_received(self, event: MetadataReceived) -> None:
        self._sink.metadata_received(event.fields)

    def batch_ended(self) -> float:
        self._sink.batch_ended()
        patience: float = getattr(self._sink, "patience", 0.0)
        return patience

    def stop(self) -> None:
        """Do nothing: what came was given on."""
