"""Answers requests for HLS that are not answered from memory: the first of each viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Request, Verdict
from ntvmedia.access.signing import is_from
from ntvmedia.endpoints.asking import Denied, allowed, check_not_sent_away, check_passed
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.asking import REDIRECTED, hops_fields, play_request
from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.outputs import NO_SESSION, PROTOCOL, HLSOutputs
from ntvmedia.endpoints.http.hls.packaging import carried
from ntvmedia.endpoints.http.hls.playlist import Playlist
from ntvmedia.endpoints.http.hls.presentation import compose, write
from ntvmedia.endpoints.http.hls.renditions import Rendition, parse_folder
from ntvmedia.endpoints.http.hls.sessions import SESSION_BYTES, Session, session_name
from ntvmedia.endpoints.http.hls.waiting import WrongDirective, parse_directives
from ntvmedia.endpoints.http.hls.window import KEY_FIELDS, PLAYLIST_NAME
from ntvmedia.errors import Refused, UsageError
from ntvmedia.formats import m3u8
from ntvmedia.hub.refusals import HubFull, NotFound
from ntvmedia.hub.rendition import select_tracks
from ntvmedia.interfaces import IExchange, IHost
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError

# A playlist of one viewer: nobody else may be given it.
_PERSONAL: Final = {"Content-Type": m3u8.CONTENT_TYPE, "Cache-Control": "no-store"}
# Without sessions it is the same for all, and a cache may keep it for a moment.
_SHARED: Final = {"Content-Type": m3u8.CONTENT_TYPE, "Cache-Control": "max-age=1"}
_REFUSED: Final = {"Content-Type": answers.PLAIN, "Cache-Control": "no-store"}

ASKED_SECONDS: Final = 5.0
"""A decision about one who does not watch holds for so long."""

# A request without an address of its own to be asked about again.
_NO_SESSION: Final = session_name(bytes(SESSION_BYTES))


class Unavailable(Refused):
    """What is needed for an answer is not there now."""


_STATUS: Final[tuple[tuple[type[Refused], int], ...]] = (
    (HubFull, 503),
    (Unavailable, 503),
    (WrongDirective, 400),
)


class _Place(NamedTuple):
    """What an address below a stream names.

    Attributes:
        session: Its name; empty for none.
        stream: The one of several that are joined; empty for the only one.
        rendition: What of it.
        name: Of the file.
    """

    session: str
    stream: str
    rendition: Rendition
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
        outputs.again = self._answer

    def __call__(self, exchange: IExchange) -> None:
        """Answer one request, now or when there is what it asks for."""
        if exchange.below and exchange.method == "GET":
            try:
                if self._outputs.hold(exchange):
                    return
            except WrongDirective:
                pass  # it is told so the long way
        self._answer(exchange)

    def _answer(self, exchange: Any) -> None:
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
            streams = self._joined(key)
            if not streams:
                raise NotFound(f"{key} is not published")
            offers = compose(request.query, outputs.playlists.application(key.application), streams)
            exchange.respond(200, _PERSONAL, write(outputs.playlists, key, _NO_SESSION, offers))
            return
        verdict, key = await self._await_stream(request)
        application = outputs.playlists.application(key.application)
        offers = compose(request.query, application, self._joined(key))
        outputs.present(key, offers)
        name = ""
        headers = _SHARED
        # An address without a session could not be asked about again, nor mean another stream.
        if outputs.has_sessions(request.key.application) or verdict.rename or verdict.lifetime:
            session = outputs.new_session(request, key)
            outputs.permit(session, verdict)
            name = session.name
            headers = _PERSONAL
        if request.hops:
            # Those of the best of the joined streams, which all come from one encoder.
            headers = {**_PERSONAL, **hops_fields(host, request, self._joined(key)[0])}
        # The address of what is below has the name that was asked for.
        body = write(outputs.playlists, request.key, name, offers)
        exchange.respond(200, headers, body)

    async def _await_stream(self, request: Request) -> tuple[Verdict, StreamKey]:
        """Wait until there is a stream, or one of those that are joined under its name."""
        while True:
            verdict = await allowed(self._host, request)
            key = verdict.rename or request.key
            if streams := self._joined(key):
                for stream in streams:
                    check_passed(request, stream)
                return verdict, key
            waits = [
                self._host.hub.wait_for(x, request.hops)
                for x in self._outputs.playlists.members_of(key)
            ]
            try:
                await DeferredList(waits, fireOnOneCallback=True, fireOnOneErrback=True)
            except FirstError as error:
                error.subFailure.raiseException()
            finally:
                for wait in waits:
                    wait.addErrback(lambda _failure: None)
                    wait.cancel()

    def _joined(self, key: StreamKey) -> list[Any]:
        """Return the streams that are there of those that are joined under a name, best first."""
        streams = self._host.hub.streams
        found = (streams.get(x) for x in self._outputs.playlists.members_of(key))
        return [x for x in found if x is not None and x.is_ready]

    # Playlists and segments

    async def _file(self, exchange: Any) -> None:
        outputs = self._outputs
        place = _place(exchange.below)
        if place.session:
            session = outputs.sessions.get(place.session)
            if session is None or session.request.key != exchange.address.key:
                raise NotFound(NO_SESSION)
            if session.ip and not is_from(exchange.peer, session.ip):
                reason = "the signed address is for somebody else's IP address"
                raise Denied(reason, rule="signature")
            key = session.key
        else:
            session = None
            key = exchange.address.key
        key = self._member(key, place.stream)
        await self._check(exchange, session, key)
        if exchange.method == "HEAD":
            # What there is, and nothing is made or counted for it (B-HT-04).
            found = outputs.playlists.find(key, place.rendition.folder)
            file = None if found is None else found.files.get(place.name)
        else:
            playlist = await self._watched(exchange, session, key, place)
            if playlist.window.stale:
                playlist.window.write()
            folder, _slash, _name = exchange.target.partition("?")[0].rpartition("/")
            outputs.remember(folder, exchange.address.key, session, playlist)
            query = exchange.target.partition("?")[2]
            if playlist.urgent and outputs.wait(exchange, playlist, session, place.name, query):
                return
            file = await self._found(playlist, place.name, query)
            if file is not None:
                counter = playlist.counter if session is None else session.viewer
                if counter is not None:
                    counter.sent_bytes += len(file.body)
        if file is None:
            raise NotFound("there is no such segment, or it is no longer kept")
        exchange.respond(200, _fields(file.fields, ranged=place.name != PLAYLIST_NAME), file.body)

    def _member(self, key: StreamKey, stream: str) -> StreamKey:
        """Return the stream that an address names, of those that are joined with its first."""
        playlists = self._outputs.playlists
        if not stream:
            return key
        member = StreamKey(key.application, stream)
        if not playlists.is_joined(key.application) or member not in playlists.members_of(key):
            raise NotFound("there is nothing of this name")
        return member

    async def _found(self, playlist: Playlist, name: bytes, query: str) -> File | None:
        """Return what is asked for, as far as it is there."""
        if name.endswith(b".key") and name not in playlist.files:
            return await self._old_key(playlist, name)
        if name == PLAYLIST_NAME and playlist.urgent and playlist.stream is not None:
            wish = parse_directives(query)
            if PLAYLIST_NAME in playlist.files and playlist.window.can_block:
                return playlist.waiters.find(wish)
        return playlist.files.get(name)

    async def _old_key(self, playlist: Playlist, name: bytes) -> File | None:
        """Return a key that no listed segment needs: of one that was loaded before a restart."""
        application = self._outputs.playlists.application(playlist.key.application)
        keys = self._outputs.playlists.keys
        try:
            key = await keys.find(playlist.key, name.decode("ascii"), application.hls_key_url)
        except OutboundError as error:
            raise Unavailable(f"the key server does not give it: {error}") from None
        if key is None:
            return None
        return File(KEY_FIELDS, key.value, self._outputs.playlists.copies)

    async def _watched(
        self, exchange: Any, session: Session | None, key: StreamKey, place: _Place
    ) -> Playlist:
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
                if place.name == PLAYLIST_NAME or session.viewer is None:
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
            await self._check(exchange, session, key)

    async def _check(self, exchange: Any, session: Session | None, key: StreamKey) -> None:
        """Ask for a decision where the last does not hold any more."""
        if session is None:
            if refusal := self._outputs.refusal_of_all(key.application):
                raise Denied(refusal)
            # Nobody knows whether who asks has asked for the stream: he may know its addresses.
            request = play_request(exchange, PROTOCOL)
            verdict = await allowed(self._host, request, again=True, ask=False, has=key)
            check_not_sent_away(self._host, request, verdict)
            return
        if session.refused:
            raise Denied(session.refused)
        now = self._host.reactor.seconds()
        # One who comes back after a while is asked like one who comes; not at each request of one
        # who polls on when the stream is over.
        comes_back = session.viewer is None and session.used
        if (
            session.decided_at is None
            or (comes_back and now >= session.decided_at + ASKED_SECONDS)
            or now >= session.valid_until
        ):
            try:
                await self._outputs.ask_again(session, as_new=comes_back)
            except Denied as error:
                self._outputs.refuse(session, str(error))
                raise

    def _find(self, key: StreamKey, rendition: Rendition) -> Playlist:
        playlists = self._outputs.playlists
        found = playlists.find(key, rendition.folder)
        if found is not None:
            return found
        stream = self._host.hub.streams.get(key)
        if stream is None or not stream.is_ready:
            raise NotFound(f"{key} is not published")
        number = rendition.number
        if number and not any(str(x.number) == number for x in stream.tracks):
            raise NotFound("there is no such track")
        format_name = rendition.format_name
        if not carried(select_tracks(stream.tracks, rendition.options), format_name):
            raise NotFound(f"segments of {format_name} have nothing of this stream")
        return playlists.obtain(key, rendition)

    # Errors

    def _failed(self, failure: Failure, exchange: Any) -> None:
        error = failure.value
        if failure.check(CancelledError):
            return
        if isinstance(error, Refused):
            status = next((x for kind, x in _STATUS if failure.check(kind)), 404)
            headers = _REFUSED
            if isinstance(error, Denied):
                status = error.status
                if location := error.location(*REDIRECTED):
                    status, headers = 302, {**_REFUSED, "Location": location}
            self._log.info(
                "{peer}: {key} refused: {reason}",
                peer=exchange.peer,
                key=exchange.address.key,
                reason=str(error),
            )
            exchange.respond(status, headers, answers.reason_body(status, str(error)))
            return
        self._log.failure("answering {key} failed", failure, key=exchange.address.key)
        try:
            exchange.respond(500, _REFUSED, answers.reason_body(500, "an error in the server"))
        except UsageError:  # too late for that
            exchange.outlet.abort()


def _place(below: str) -> _Place:
    """Read "~SESSION/FOLDER/NAME", or "~SESSION/STREAM/FOLDER/NAME" of streams that are joined."""
    parts = below.split("/")
    rendition = parse_folder(parts[-2]) if len(parts) in (3, 4) else None
    if rendition is None or not parts[-1].isascii():
        raise NotFound("there is nothing of this name")
    session = parts[0].removeprefix("~").removeprefix("%7E").removeprefix("%7e")
    stream = unquote(parts[1]) if len(parts) == 4 else ""
    return _Place(session, stream, rendition, parts[-1].encode("ascii"))


def _fields(text: str, *, ranged: bool) -> Mapping[str, str]:
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    if ranged:
        fields["Accept-Ranges"] = "bytes"
    return fields
