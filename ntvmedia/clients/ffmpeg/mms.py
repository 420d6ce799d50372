"""`mms://`: Microsoft Media Services, by HTTP ("mmsh") or in a protocol of its own ("mmst").

FFmpeg has either, and does not go over from one to the other (E-SR-01).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from ntvmedia.clients.ffmpeg.source import FFmpegSource, Outputs, look, run, start, wrong
from ntvmedia.errors import RemoteError
from ntvmedia.media.relaying import PullOptions
from ntvmedia.outbound import Target, parse_target

if TYPE_CHECKING:
    from ntvmedia.avtools.job import Probe, URLInput

TRY_SECONDS: Final = 8.0
"""How long each way has, from the look-up of the name, or the start of the process, to the first
track (E-SR-01)."""

MMSH_PORT: Final = 80
MMST_PORT: Final = 1755

_WAYS: Final = {"mms": ("mmsh", "mmst"), "mmsh": ("mmsh",), "mmst": ("mmst",)}
_PROTOCOLS: Final = {"mmsh": ("mmsh", "http", "tcp"), "mmst": ("mmst", "tcp")}


class Place(NamedTuple):
    """What an address of MMS says.

    Attributes:
        ways: "mmsh", "mmst", or both, in the order in which they are tried.
        target: As though it were HTTP.
        port: As typed; 0 for those that the ways have.
    """

    ways: tuple[str, ...]
    target: Target
    port: int

    def port_of(self, way: str) -> int:
        """Return the port for one way: of `mms://` the other's well-known one is not taken."""
        own, other = (MMSH_PORT, MMST_PORT) if way == "mmsh" else (MMST_PORT, MMSH_PORT)
        return own if not self.port or (len(self.ways) > 1 and self.port == other) else self.port

    def url(self, way: str, address: str) -> str:
        """Return what FFmpeg is given: an IP address for the host."""
        host = f"[{address}]" if ":" in address else address
        return f"{way}://{host}:{self.port_of(way)}{self.target.path}"

    def host(self, way: str) -> str:
        """Return the field Host."""
        name = self.target.host
        name = f"[{name}]" if ":" in name else name
        port = self.port_of(way)
        return name if port == MMSH_PORT else f"{name}:{port}"


class MMSSource(FFmpegSource):
    """Pulls from servers of Windows Media, and from those that speak like them."""

    schemes = ("mms", "mmsh", "mmst")

    def check(self, url: str) -> None:
        place_of(url)

    async def _pull(self, host: Any, url: str, options: PullOptions, outputs: Outputs) -> None:
        place = place_of(url)
        address = await _address_of(host, place)
        failures: list[RemoteError] = []
        for way in place.ways:
            source = _input(place, way, address)
            running = start(host, source, options, outputs, TRY_SECONDS)
            try:
                await run(running)
                return
            except RemoteError as error:
                failures.append(error)
                # What is wrong with the media itself is so by any way.
                if running.has_tracks or (error.is_permanent and not error.status):
                    raise
                outputs[0][1].noted(_line(place, failures))
        raise _together(place, failures)

    async def _probe(self, host: Any, url: str, options: PullOptions) -> Probe:
        place = place_of(url)
        address = await _address_of(host, place)
        failures: list[RemoteError] = []
        for way in place.ways:
            try:
                return await look(host, _input(place, way, address), TRY_SECONDS)
            except RemoteError as error:
                failures.append(error)
        raise _together(place, failures)


def place_of(url: str) -> Place:
    """Read an address.

    Raises:
        RemoteError: It is none.
    """
    scheme, colon, rest = url.partition(":")
    ways = _WAYS.get(scheme.lower())
    if ways is None or not colon:
        raise wrong("the address begins with none of mms://, mmsh:// and mmst://")
    target = parse_target(f"http:{rest}")
    # Port 80 of HTTP may be typed, or not: which is all the same to `Target`.
    typed = urlsplit(f"http:{rest}").port or 0
    return Place(ways, target, typed)


def _address_of(host: Any, place: Place) -> Deferred[str]:
    """Look the host up, under the network policy: the child connects to that address alone."""
    found: Deferred[str] = host.connector.resolve(place.target.host, timeout_seconds=TRY_SECONDS)
    return found


def _input(place: Place, way: str, address: str) -> URLInput:
    from ntvmedia.avtools.job import URLInput

    is_http = way == "mmsh"
    return URLInput(
        place.url(way, address),
        "asf",
        _PROTOCOLS[way],
        place.host(way) if is_http else "",
        place.target.authorization if is_http else "",
    )


def _line(place: Place, failures: list[RemoteError]) -> str:
    line = f"{place.ways[len(failures) - 1]} failed: {failures[-1]}"
    rest = place.ways[len(failures) :]
    return f"{line}; trying {rest[0]}" if rest else line


def _together(place: Place, failures: list[RemoteError]) -> RemoteError:
    """Say what all ways ended with."""
    if len(failures) == 1:
        return failures[0]
    message = "; ".join(f"{way}: {x}" for way, x in zip(place.ways, failures, strict=True))
    status = next((x.status for x in failures if x.status), 0)
    return RemoteError(message, status, is_permanent=all(x.is_permanent for x in failures))
