"""HLS as a plugin: `GET /APP/STREAM.m3u8`, and all below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.handler import HLSHandler
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.interfaces import IExchange, IFolderRoute, IHost


@implementer(IPlugin, IFolderRoute)
class HLSRoute:
    """The output `.m3u8`."""

    extensions: ClassVar[tuple[str, ...]] = ("m3u8",)
    methods: ClassVar[tuple[str, ...]] = ()

    def make_handler(self, host: IHost) -> Callable[[IExchange], None]:
        return HLSHandler(host, host.part(HLSOutputs))

    def make_ready(self, host: IHost) -> Callable[[bytes], File | None]:
        outputs: HLSOutputs = host.part(HLSOutputs)
        return outputs.find_file
