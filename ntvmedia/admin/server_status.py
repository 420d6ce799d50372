"""The API's view of the server as a whole."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from ntvmedia import __version__
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.admin.totals import Uptime, totals


class Status(Struct, kw_only=True):
    """What the server did since its start, and does now."""

    version: str
    uptime_seconds: Annotated[float, Meta(ge=0)]
    draining: Annotated[bool, Meta(description="It was told to stop, and takes nobody new.")]
    streams: Annotated[int, Meta(ge=0)]
    publishers: Annotated[int, Meta(ge=0)]
    viewers: Annotated[int, Meta(ge=0)]
    waiting: Annotated[int, Meta(ge=0, description="Viewers who wait for a stream.")]
    bytes_in: Annotated[int, Meta(ge=0, description="Media bytes from publishers.")]
    bytes_out: Annotated[int, Meta(ge=0, description="Bytes to viewers.")]
    bitrate_in: Annotated[int, Meta(ge=0, description="Bits a second.")]
    bitrate_out: Annotated[int, Meta(ge=0, description="Bits a second.")]
    reactor_lag_seconds: Annotated[float, Meta(description="How late the server last was.")]
    largest_reactor_lag_seconds: float


class ServerStatus(Operations):
    """The server as a whole."""

    tag = "server"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._uptime: Uptime = host.part(Uptime)

    @operation("GET", "/status", role=Role.VIEWER, answers=Status)
    def status(self, call: Call) -> Status:
        """Show what the server does."""
        return Status(
            version=__version__,
            uptime_seconds=round(self._uptime.seconds, 3),
            draining=bool(self.host.draining),
            **totals(self.host.hub)._asdict(),
        )
