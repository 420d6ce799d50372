"""HTTP-FLV and WebSocket-FLV: `/APP/STREAM.flv`, the stream as one FLV file that does not end."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.endpoints.http.live import LiveFormat, LiveHandler
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.formats.flv_writer import can_carry
from ntvmedia.interfaces import IExchange, IHost, IMediaRoute

FORMAT: Final = "flv"


@implementer(IPlugin, IMediaRoute)
class FLVRoute:
    """The output `.flv`."""

    extensions: ClassVar[tuple[str, ...]] = (FORMAT,)
    methods: ClassVar[tuple[str, ...]] = ()

    def make_handler(self, host: IHost) -> Callable[[IExchange], None]:
        legacy_hevc = host.settings.http.legacy_hevc
        return LiveHandler(
            host,
            LiveFormat(
                name=FORMAT,
                content_type="video/x-flv",
                new_serialiser=lambda: FLVSerialiser(legacy_hevc=legacy_hevc),
                can_carry=can_carry,
            ),
        )
