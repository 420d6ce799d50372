"""`mms://`: Microsoft Media Services, by HTTP ("mmsh") or in a protocol of its own ("mmst").

The server asks by HTTP itself, and FFmpeg by the other; they are tried in this order (E-SR-01).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from ntvmedia.clients.ffmpeg.mmsh import Play, describe
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


class Place(NamedTuple):
    """What an address of MMS says.

    Attributes:
        ways: "mmsh", "mmst", or both, in the order in which they are tried.
        target: As though it were HTTP.
        port: As typed; 0 for those that the ways have.
        userinfo: User and password with the "@" behind them, as typed; may be empty.
    """

    ways: tuple[str, ...]
    target: Target
    port: int
    userinfo: str

    def port_of(self, way: str) -> int:
        """Return the port for one way: of `mms://` the other's well-known one is not taken."""
        own, other = (MMSH_PORT, MMST_PORT) if way == "mmsh" else (MMST_PORT, MMSH_PORT)
        return own if not self.port or (len(self.ways) > 1 and self.port == other) else self.port

    def mmst_url(self, address: str) -> str:
        """Return what FFmpeg is given: an IP address for the host."""
        host = f"[{address}]" if ":" in address else address
        return f"mmst://{host}:{self.port_of('mmst')}{self.target.path}"

    @property
    def http_url(self) -> str:
        """The address for mmsh, with user and password."""
        target = self.target
        name = f"[{target.host}]" if ":" in target.host else target.host
        return f"http://{self.userinfo}{name}:{self.port_of('mmsh')}{target.path}"


class MMSSource(FFmpegSource):
    """Pulls from servers of Windows Media, and from those that speak like them."""

    schemes = ("mms", "mmsh", "mmst")

    def check(self, url: str) -> None:
        place_of(url)

    async def _pull(self, host: Any, url: str, options: PullOptions, outputs: Outputs) -> None:
        place = place_of(url)
        failures: list[RemoteError] = []
        for way in place.ways:
            try:
                by = _by_mmsh if way == "mmsh" else _by_mmst
                await by(host, place, options, outputs)
                return
            except _Begun as begun:
                raise begun.error from None
            except RemoteError as error:
                failures.append(error)
                # What is forbidden, or wrong with the media itself, is so by any way.
                if error.is_permanent and not error.status:
                    raise
                outputs[0][1].noted(_line(place, failures))
        raise _together(place, failures)

    async def _probe(self, host: Any, url: str, options: PullOptions) -> Probe:
        place = place_of(url)
        failures: list[RemoteError] = []
        for way in place.ways:
            try:
                if way == "mmsh":
                    return await _look_by_mmsh(host, place, options)
                address = await _address_of(host, place)
                return await look(host, _input(place, address), TRY_SECONDS)
            except RemoteError as error:
                failures.append(error)
        raise _together(place, failures)


class _Begun(Exception):
    """Media came before the error: it was the right way.

    Attributes:
        error: What happened.
    """

    def __init__(self, error: RemoteError) -> None:
        super().__init__()
        self.error = error


async def _by_mmsh(host: Any, place: Place, options: PullOptions, outputs: Outputs) -> None:
    from ntvmedia.avtools.job import DataInput

    url = place.http_url
    header = await describe(host, url, TRY_SECONDS)
    play = Play(
        host,
        url,
        header,
        options,
        lambda paused: start(host, DataInput("asf"), options, outputs, TRY_SECONDS, paused),
    )
    try:
        await play.run()
    except RemoteError as error:
        if play.has_tracks:
            raise _Begun(error) from None
        raise


async def _look_by_mmsh(host: Any, place: Place, options: PullOptions) -> Probe:
    from ntvmedia.avtools.job import PROBE_LIMITS, DataInput, Job
    from ntvmedia.avtools.process import run_job

    header = await describe(host, place.http_url, TRY_SECONDS)
    limits = PROBE_LIMITS._replace(open_seconds=TRY_SECONDS)
    job = Job(DataInput("asf"), probe=True, limits=limits)
    play = Play(
        host,
        place.http_url,
        header,
        options,
        lambda paused: run_job(host.reactor, job, (), paused=paused),
    )
    await play.run()
    if play.job.probe is None:
        raise RemoteError("the helper process found nothing to tell")
    return play.job.probe


async def _by_mmst(host: Any, place: Place, options: PullOptions, outputs: Outputs) -> None:
    address = await _address_of(host, place)
    running = start(host, _input(place, address), options, outputs, TRY_SECONDS)
    try:
        await run(running)
    except RemoteError as error:
        if running.has_tracks:
            raise _Begun(error) from None
        raise


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
    parts = urlsplit(f"http:{rest}")
    user, at, _host = parts.netloc.rpartition("@")
    return Place(ways, target, parts.port or 0, user + at)


def _address_of(host: Any, place: Place) -> Deferred[str]:
    """Look the host up, under the network policy: the child connects to that address alone."""
    found: Deferred[str] = host.connector.resolve(place.target.host, timeout_seconds=TRY_SECONDS)
    return found


def _input(place: Place, address: str) -> URLInput:
    from ntvmedia.avtools.job import URLInput

    return URLInput(place.mmst_url(address), "asf", ("mmst", "tcp"))


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
