"""The API's addresses of a stream (P-403, P-501): as texts, as QR codes, and to embed in a page."""

from __future__ import annotations

import html
import socket
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import quote

import segno
from msgspec import Meta, Struct
from twisted.internet.threads import deferToThreadPool

from ntvmedia.access import Application, NoApplication
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.problems import Problem
from ntvmedia.config import Settings
from ntvmedia.config.addresses import Base, base_addresses
from ntvmedia.media import StreamKey
from ntvmedia.media.names import BadName, stream_key


class _Form(NamedTuple):
    """One way to write the address of a stream.

    Attributes:
        id: What it is called after the scheme; empty where the scheme says it all.
        output: As in `Application.outputs`; empty where any that a browser plays will do.
        scheme: That of the bases that it is made of, without the "s" of TLS.
        shown: The scheme that it is written with.
        before: What stands before the application.
        after: What stands after the stream.
        publish: Publishers may use it too.
    """

    id: str
    output: str
    scheme: str
    shown: str
    before: str = ""
    after: str = ""
    publish: bool = False


# P-501, in its order.
_FORMS: Final = (
    _Form("", "rtmp", "rtmp", "rtmp", publish=True),
    _Form("flv", "flv", "http", "http", after=".flv"),
    _Form("flv", "flv", "http", "ws", after=".flv"),
    _Form("ts", "ts", "http", "http", after=".ts"),
    _Form("hls", "hls", "http", "http", after=".m3u8"),
    _Form("", "rtsp", "rtsp", "rtsp", publish=True),
    _Form("page", "", "http", "http"),
    _Form("embed", "", "http", "http", before="embed/"),
)

# What the player of our pages plays.
_IN_BROWSERS: Final = frozenset({"hls", "flv"})

# Version 40 of a QR code has 177 modules: 7 kilopixels wide at most.
_MAX_SCALE: Final = 40

# A console shows one at a time, and each has a thread of its own.
_MAX_DRAWING: Final = 4

# Modules around a code that have to stay empty (ISO/IEC 18004, 9.1).
_QUIET_ZONE: Final = 4

Query = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=r"^[A-Za-z0-9._~=&%+-]*\Z",
        description="What follows the question mark: `share=...`, or what signs the address.",
    ),
]
Pixels = Annotated[int, Meta(ge=1, le=10_000)]


class AddressShown(Struct, kw_only=True):
    """One address of a stream."""

    id: Annotated[str, Meta(description="Such as `rtmp`, `https-hls`; for QR codes.")]
    output: Annotated[
        Literal["rtmp", "flv", "ts", "hls", "rtsp", "page", "embed"],
        Meta(description="What it gives."),
    ]
    secure: Annotated[bool, Meta(description="It is encrypted, by TLS.")]
    publish: Annotated[bool, Meta(description="Publishers may use it too.")]
    url: str


class StreamAddresses(Struct, kw_only=True):
    """Where a stream is found."""

    application: str
    stream: str
    server_address: Annotated[str, Meta(description="The host that the addresses have.")]
    server_address_from: Annotated[
        Literal["preferences", "settings", "request", "machine"],
        Meta(description="Where that is taken from; the first two are set by somebody."),
    ]
    signed: Annotated[
        bool, Meta(description="The application wants signed addresses: add what signs them.")
    ]
    addresses: list[AddressShown]


class AddressQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the addresses get."""

    query: Query = ""


class CodeQuery(AddressQuery, kw_only=True):
    """What the code says, and how large it is."""

    address: Annotated[str, Meta(max_length=32, description="The id of an address.")] = "http-page"
    scale: Annotated[int, Meta(ge=1, le=_MAX_SCALE, description="Pixels of each module.")] = 8


class EmbedQuery(AddressQuery, kw_only=True):
    """How large the player is in the page."""

    width: Pixels = 640
    height: Pixels = 360


class Embed(Struct, kw_only=True):
    """What puts a player into a page."""

    url: str
    width: Pixels
    height: Pixels
    html: Annotated[str, Meta(description="To be pasted into the page.")]


class AddressOperations(Operations):
    """The addresses of streams, whether these are published now or not."""

    tag = "addresses"
    refusals: ClassVar[Mapping[type[Exception], int]] = {BadName: 404, NoApplication: 404}

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._drawing = 0

    @operation(
        "GET",
        "/streams/{application}/{stream}/addresses",
        role=Role.VIEWER,
        query=AddressQuery,
        answers=StreamAddresses,
    )
    def addresses(self, call: Call) -> StreamAddresses:
        """List the addresses of a stream, of the outputs that its application has.

        They have the server's address of the preferences or of the settings, or else the host that
        this request was sent to; and a port where it is not the scheme's own.
        """
        key, application = self._target(call)
        host, source = self._host_name(call)
        return StreamAddresses(
            application=key.application,
            stream=key.stream,
            server_address=host,
            server_address_from=source,
            signed=application.signed,
            addresses=self._addresses(call, key, application),
        )

    @operation(
        "GET",
        "/streams/{application}/{stream}/qr.svg",
        role=Role.VIEWER,
        query=CodeQuery,
        media_type="image/svg+xml",
        errors=(503,),
    )
    async def svg(self, call: Call) -> Answer:
        """Draw the QR code of an address, as SVG."""
        return Answer(await self._code(call, "svg"))

    @operation(
        "GET",
        "/streams/{application}/{stream}/qr.png",
        role=Role.VIEWER,
        query=CodeQuery,
        media_type="image/png",
        errors=(503,),
    )
    async def png(self, call: Call) -> Answer:
        """Draw the QR code of an address, as PNG."""
        return Answer(await self._code(call, "png"))

    @operation(
        "GET",
        "/streams/{application}/{stream}/embed",
        role=Role.VIEWER,
        query=EmbedQuery,
        answers=Embed,
    )
    def embed(self, call: Call) -> Embed:
        """Write the HTML that puts a player of a stream into a page: an iframe.

        The player is fetched over TLS where the server has it: browsers refuse what is not within
        a page that is.
        """
        key, application = self._target(call)
        found = [x for x in self._addresses(call, key, application) if x.output == "embed"]
        if not found:
            raise Problem(404, "there is no player: the server has no HTTP, or no output for it")
        chosen = max(found, key=lambda x: x.secure)
        width, height = call.query.width, call.query.height
        return Embed(
            url=chosen.url,
            width=width,
            height=height,
            html=embed_code(chosen.url, width, height, title=str(key)),
        )

    def _target(self, call: Call) -> tuple[StreamKey, Application]:
        key = stream_key(call.path["application"], call.path["stream"])
        return key, self.host.applications.find(key.application)

    async def _code(self, call: Call, kind: str) -> bytes:
        key, application = self._target(call)
        found = self._addresses(call, key, application)
        for address in found:
            if address.id == call.query.address:
                return await self._drawn(address.url, kind, call.query.scale)
        names = ", ".join(address.id for address in found) or "none"
        raise Problem(400, f"address: expected one of {names}", "address")

    async def _drawn(self, text: str, kind: str, scale: int) -> bytes:
        """Draw in a thread: the longest address takes some 0.3 s, in which no media would flow."""
        if self._drawing >= _MAX_DRAWING:
            raise Problem(503, "too many codes are being drawn", headers={"Retry-After": "1"})
        reactor = self.host.reactor
        self._drawing += 1
        try:
            drawn: bytes = await deferToThreadPool(
                reactor, reactor.getThreadPool(), qr_code, text, kind, scale
            )
        finally:
            self._drawing -= 1
        return drawn

    def _addresses(
        self, call: Call, key: StreamKey, application: Application
    ) -> list[AddressShown]:
        host, source = self._host_name(call)
        bases = public_bases(self.host.settings, host, everywhere=source != "machine")
        return stream_addresses(bases, key, application.outputs, call.query.query)

    def _host_name(
        self, call: Call
    ) -> tuple[str, Literal["preferences", "settings", "request", "machine"]]:
        """Return the host that addresses are written with, and where it is from."""
        preferred: str = self.host.preferences.values.server_address
        if preferred:
            return preferred, "preferences"
        set_up: str = self.host.settings.server.address
        if set_up:
            return set_up, "settings"
        if call.identity.kind == "control":
            return socket.gethostname(), "machine"
        # One, and a good one: `ntvmedia.admin.api.Front` has seen to that.
        asked = call.request.requestHeaders.getRawHeaders("host", [""])[0].strip()
        return without_port(asked), "request"


def public_bases(settings: Settings, host: str, *, everywhere: bool) -> list[Base]:
    """List what the addresses of streams begin with.

    Args:
        settings: What the server listens on.
        host: A name or IP address.
        everywhere: It also stands for ports that are bound to one interface: a proxy may be before
            them.
    """
    if everywhere:
        settings = replace(settings, server=replace(settings.server, address=host))
    return base_addresses(settings, host)


def stream_addresses(
    bases: list[Base], key: StreamKey, outputs: tuple[str, ...], query: str = ""
) -> list[AddressShown]:
    """List the addresses of a stream (P-501).

    Args:
        bases: Where the server is reached.
        key: The stream.
        outputs: Those that its application has.
        query: For all of them.
    """
    # Letters of other scripts are for people; programs want their bytes.
    path = f"{quote(key.application, safe='')}/{quote(key.stream, safe='')}"
    end = f"?{query}" if query else ""
    found: list[AddressShown] = []
    taken: set[str] = set()
    for form in _FORMS:
        if not (form.output in outputs if form.output else _IN_BROWSERS & set(outputs)):
            continue
        for base in bases:
            secure = base.scheme == f"{form.scheme}s"
            if not secure and base.scheme != form.scheme:
                continue
            scheme = f"{form.shown}s" if secure else form.shown
            place = base.text.partition("://")[2]
            id = first = f"{scheme}-{form.id}" if form.id else scheme
            number = 2
            while id in taken:
                id, number = f"{first}-{number}", number + 1
            taken.add(id)
            output: Any = form.output or form.id
            found.append(
                AddressShown(
                    id=id,
                    output=output,
                    secure=secure,
                    publish=form.publish,
                    url=f"{scheme}://{place}/{form.before}{path}{form.after}{end}",
                )
            )
    return found


def embed_code(url: str, width: int, height: int, *, title: str) -> str:
    """Return an iframe. What is given is escaped (F-IN-03)."""
    return (
        f'<iframe src="{html.escape(url)}" title="{html.escape(title)}" width="{width}" '
        f'height="{height}" style="border:0" allow="autoplay; fullscreen; picture-in-picture" '
        "allowfullscreen></iframe>"
    )


def qr_code(text: str, kind: str, scale: int) -> bytes:
    """Draw a QR code (ISO/IEC 18004), at level M or better: 15 % of it may be hidden.

    Args:
        text: What it says.
        kind: "svg" or "png".
        scale: Pixels of each module.

    Raises:
        Problem: 400, it says too much.
    """
    try:
        code = segno.make(text, error="m", micro=False)
    except segno.DataOverflowError:
        raise Problem(400, "the address is too long for a QR code") from None
    out = BytesIO()
    code.save(out, kind=kind, scale=scale, border=_QUIET_ZONE)
    return out.getvalue()


def without_port(host: str) -> str:
    """Return the host of a field "Host"; an IPv6 address without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
