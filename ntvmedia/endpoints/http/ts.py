"""HTTP-TS: `/APP/STREAM.ts`, the stream as one MPEG transport stream that does not end.

The same over WebSocket, since mpegts.js can play it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.endpoints.http.live import LiveFormat, LiveHandler
from ntvmedia.formats.mpegts_muxer import can_carry
from ntvmedia.formats.mpegts_serialiser import MPEGTSSerialiser
from ntvmedia.interfaces import IExchange, IHost, IMediaRoute

FORMAT: Final = "ts"


@implementer(IPlugin, IMediaRoute)
class TSRoute:
    """The output `.ts`."""

    extensions: ClassVar[tuple[str, ...]] = (FORMAT,)
    methods: ClassVar[tuple[str, ...]] = ()

    def make_handler(self, host: IHost) -> Callable[[IExchange], None]:
        return LiveHandler(
            host,
            LiveFormat(
                name=FORMAT,
                content_type="video/mp2t",
                new_serialiser=MPEGTSSerialiser,
                can_carry=can_carry,
            ),
        )
