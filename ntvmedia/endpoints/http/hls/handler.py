"""Answers requests for HLS that are not answered from memory: the first of each viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Request
from ntvmedia.codecs.description import describe
from ntvmedia.endpoints.asking import Denied, allowed, allowed_stream
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.asking import play_request
from ntvmedia.endpoints.http.hls.outputs import PROTOCOL, HLSOutputs
from ntvmedia.endpoints.http.hls.playlist import Playlist
from ntvmedia.endpoints.http.hls.renditions import rendition_name, rendition_options
from ntvmedia.endpoints.http.hls.segmenter import carried
from ntvmedia.endpoints.http.hls.sessions import SESSION_BYTES, Session, session_name
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME
from ntvmedia.errors import Refused, UsageError
from ntvmedia.formats import m3u8
from ntvmedia.hub.refusals import HubFull, NotFound
from ntvmedia.interfaces import IExchange, IHost
from ntvmedia.media import MediaKind, StreamKey, Track

# A playlist of one viewer: nobody else may be given it.
_PERSONAL: Final = {"Content-Type": m3u8.CONTENT_TYPE, "Cache-Control": "no-store"}
# Without sessions it is the same for all, and a cache may keep it for a moment.
_SHARED: Final = {"Content-Type": m3u8.CONTENT_TYPE, "Cache-Control": "max-age=1"}
_REFUSED: Final = {"Content-Type": answers.PLAIN, "Cache-Control": "no-store"}

# Of a stream whose bit rate is not yet known, in bits a second.
_ASSUMED_VIDEO: Final = 2_000_000
_ASSUMED_AUDIO: Final = 160_000

# Less says little: a stream begins with its largest picture.
LEAST_MEASURED_SECONDS: Final = 2.0

# MPEG-TS adds a few percent, and a segment may be larger than those before.
_MARGIN: Final = 1.25


class _Place(NamedTuple):
    """What an address below a stream names."""

    session: str
    rendition: str
    name: bytes


class HLSHandler:
    """Answers requests.

    Args:
        host: Asked for access, and for streams.
        outputs: What there is.
    """

    _log = Logger()

    def __init__(self, host: IHost, outputs: HLSOutputs) -> None:
        self._host: Any = host
        self._outputs = outputs

    def __call__(self, exchange: IExchange) -> None:
        """Answer one request, now or when there is a segment."""
        answering = Deferred.fromCoroutine(
            self._file(exchange) if exchange.below else self._multivariant(exchange)
        )
        exchange.on_closed(answering.cancel)
        answering.addErrback(self._failed, exchange)

    # The playlist that each viewer asks for first

    async def _multivariant(self, exchange: Any) -> None:
        host, outputs = self._host, self._outputs
        request = play_request(exchange, PROTOCOL)
        if exchange.method == "HEAD":
            # Nobody watches, so nobody waits, and nothing is made.
            key = (await allowed(host, request)).rename or request.key
            stream = host.hub.streams.get(key)
            if stream is None or not stream.is_ready:
                raise NotFound(f"{key} is not published")
            rendition = rendition_name(request.query, stream.tracks)
            name = session_name(bytes(SESSION_BYTES))
            exchange.respond(200, _PERSONAL, self._variants(stream, request, name, rendition))
            return
        verdict, stream = await allowed_stream(host, request)
        rendition = rendition_name(request.query, stream.tracks)
        self._playlist(stream, rendition)
        name = ""
        headers = _SHARED
        # An address without a session could not be asked about again, nor mean another stream.
        if outputs.has_sessions(request.key.application) or verdict.rename or verdict.lifetime:
            session = outputs.new_session(request, stream.key, rendition)
            outputs.permit(session, verdict)
            name = session.name
            headers = _PERSONAL
        exchange.respond(200, headers, self._variants(stream, request, name, rendition))

    def _variants(self, stream: Any, request: Request, session: str, rendition: str) -> bytes:
        tracks = _tracks(stream, rendition_options(rendition) or {})
        playlist = self._outputs.playlists.get((stream.key, rendition))
        peak = playlist.window.peak_bitrate if playlist is not None else 0.0
        variant = m3u8.Variant(
            f"{request.key.stream}/~{session}/{rendition}/{PLAYLIST_NAME.decode('ascii')}",
            round(max(peak, _expected_bitrate(stream, tracks)) * _MARGIN),
            [described for x in tracks if (described := describe(x).codec_string)],
        )
        video = next((x for x in tracks if x.kind is MediaKind.VIDEO), None)
        if video is not None:
            seen = describe(video)
            variant = variant._replace(
                width=seen.width,
                height=seen.height,
                frame_rate=seen.frame_rate or stream.frame_rate,
            )
        return m3u8.multivariant_playlist([variant])

    # Playlists and segments

    async def _file(self, exchange: Any) -> None:
        outputs = self._outputs
        place = _place(exchange.below)
        if place.session:
            session = outputs.sessions.get(place.session)
            if (
                session is None
                or session.request.key != exchange.address.key
                or session.rendition != place.rendition
            ):
                raise NotFound("there is no such session: ask for the stream's .m3u8 again")
            key = session.key
        else:
            session = None
            key = exchange.address.key
        await self._check(session, key)
        if exchange.method == "HEAD":
            # What there is, and nothing is made or counted for it (B-HT-04).
            found = outputs.playlists.get((key, place.rendition))
            file = None if found is None else found.files.get(place.name)
        else:
            playlist = await self._watched(session, key, place)
            file = playlist.files.get(place.name)
            if file is not None:
                folder = exchange.target.partition("?")[0].rpartition("/")[0]
                outputs.remember(folder, exchange.address.key, session, playlist)
                counter = playlist.counter if session is None else session.viewer
                if counter is not None:
                    counter.sent_bytes += len(file.body)
        if file is None:
            raise NotFound("there is no such segment, or it is no longer kept")
        exchange.respond(200, _fields(file.fields, ranged=place.name != PLAYLIST_NAME), file.body)

    async def _watched(self, session: Session | None, key: StreamKey, place: _Place) -> Playlist:
        """Return the playlist that one watches from now on, with a segment at least.

        What is asked for is still allowed when this returns.
        """
        while True:
            playlist = self._find(key, place.rendition)
            playlist.seen = self._host.reactor.seconds()
            stream = self._host.hub.streams.get(key)
            if stream is None or not stream.is_ready:
                if PLAYLIST_NAME not in playlist.files and place.name == PLAYLIST_NAME:
                    raise NotFound(f"{key} is not published")
                return playlist
            if session is not None:
                session.seen = playlist.seen
                self._outputs.join(session, stream, playlist)
                if session.refused:
                    raise Denied(session.refused)
            if place.name != PLAYLIST_NAME:
                return playlist
            playlist.run(stream)
            if PLAYLIST_NAME in playlist.files:
                return playlist
            if session is not None:
                session.held += 1
            try:
                await playlist.ready()
            finally:
                if session is not None:
                    session.held -= 1
            # That took a while: who asks now?
            await self._check(session, key)

    async def _check(self, session: Session | None, key: StreamKey) -> None:
        """Ask for a decision where the last does not hold any more."""
        if session is None:
            self._check_open(key.application)
            return
        if session.refused:
            raise Denied(session.refused)
        # One who comes back after a while is asked like one who comes.
        stale = session.used and session.viewer is None
        if (
            session.decided_at is None
            or stale
            or self._host.reactor.seconds() >= session.valid_until
        ):
            try:
                verdict = await allowed(self._host, session.request)
            except Denied as error:
                self._outputs.refuse(session, str(error))
                raise
            self._outputs.permit(session, verdict)

    def _check_open(self, application: str) -> None:
        """Refuse an address without a session where viewers have one."""
        found = self._host.applications.get(application)
        if found is None or not found.enabled or PROTOCOL not in found.outputs:
            raise Denied(f'application "{application}" does not serve HLS')
        if self._outputs.has_sessions(application):
            raise Denied("this address has no session: ask for the stream's .m3u8")

    def _find(self, key: Any, rendition: str) -> Playlist:
        found = self._outputs.playlists.get((key, rendition))
        if found is not None:
            return found
        stream = self._host.hub.streams.get(key)
        options = rendition_options(rendition)
        if stream is None or not stream.is_ready or options is None:
            raise NotFound(f"{key} is not published")
        number = options.get("audio")
        if number is not None and not any(str(x.number) == number for x in stream.tracks):
            raise NotFound("there is no such track")
        return self._playlist(stream, rendition)

    def _playlist(self, stream: Any, rendition: str) -> Playlist:
        """Have segments made, so that they are there when the player asks for them."""
        options = rendition_options(rendition)
        assert options is not None
        _tracks(stream, options)
        playlist = self._outputs.playlist(stream.key, rendition, options)
        playlist.seen = self._host.reactor.seconds()
        playlist.run(stream)
        return playlist

    # Errors

    def _failed(self, failure: Failure, exchange: Any) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        if isinstance(error, Refused):
            status = 503 if isinstance(error, HubFull) else 404
            if isinstance(error, Denied):
                status = 403
            self._log.info(
                "{peer}: {key} refused: {reason}",
                peer=exchange.peer,
                key=exchange.address.key,
                reason=str(error),
            )
            exchange.respond(status, _REFUSED, answers.reason_body(status, str(error)))
            return
        self._log.failure("answering {key} failed", failure, key=exchange.address.key)
        try:
            exchange.respond(500, _REFUSED, answers.reason_body(500, "an error in the server"))
        except UsageError:  # too late for that
            exchange.outlet.abort()


def _place(below: str) -> _Place:
    """Read "~SESSION/RENDITION/NAME"."""
    parts = below.split("/")
    if len(parts) != 3 or not below.isascii():
        raise NotFound("there is nothing of this name")
    session = parts[0].removeprefix("~").removeprefix("%7E").removeprefix("%7e")
    return _Place(session, parts[1], parts[2].encode("ascii"))


def _tracks(stream: Any, options: Mapping[str, str]) -> list[Track]:
    """Return what segments have of a stream.

    Raises:
        NotFound: Nothing.
    """
    tracks = carried(stream.tracks, options)
    if not tracks:
        codecs = ", ".join(sorted({x.codec.value for x in stream.tracks}))
        raise NotFound(f"segments of MPEG-TS have nothing of this stream, which is {codecs}")
    return tracks


def _fields(text: str, *, ranged: bool) -> Mapping[str, str]:
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    if ranged:
        fields["Accept-Ranges"] = "bytes"
    return fields


def _expected_bitrate(stream: Any, tracks: list[Track]) -> float:
    """Guess the bits a second of what segments will have, from what came so far."""
    seconds = stream.timeline.position
    if seconds < LEAST_MEASURED_SECONDS:
        return sum(_ASSUMED_VIDEO if x.kind is MediaKind.VIDEO else _ASSUMED_AUDIO for x in tracks)
    states = stream.timeline.states
    return float(sum(states[x.id].bytes for x in tracks if x.id in states) * 8 / seconds)
