"""All that HLS serves: the playlists of all streams, the sessions, and who is given what."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Request, Verdict
from ntvmedia.endpoints.asking import Denied, allowed, check_room
from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.guests import Guests
from ntvmedia.endpoints.http.hls.playlist import Playlist
from ntvmedia.endpoints.http.hls.playlists import Playlists
from ntvmedia.endpoints.http.hls.presentation import Offer, Presentation, compose
from ntvmedia.endpoints.http.hls.sessions import SESSION_BYTES, Session, Visit, session_name
from ntvmedia.endpoints.http.hls.waiting import Waiter, WrongDirective, parse_directives
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME
from ntvmedia.events import (
    AccessChanged,
    ApplicationChanged,
    PreferencesChanged,
    StreamReady,
)
from ntvmedia.hub.refusals import NotFound
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.interfaces import IHost
from ntvmedia.media import StreamKey

PROTOCOL: Final = "hls"
"""Its name in requests for access, and in the list of viewers."""

LOOK_SECONDS: Final = 1.0

_log = Logger()

NO_SESSION: Final = "there is no such session: ask for the stream's .m3u8 again"


class HLSOutputs(Service):
    """The playlists and sessions of one server, shared by its HTTP and HTTPS ports.

    Args:
        host: The server.
        wall_seconds: Seconds since 1970.

    Attributes:
        playlists: All that there are.
        presentations: By the name that was asked for, and the folders that were named.
        sessions: By name.
        again: Called with a request that was held, when who asks may no longer be there; to be
            set by who answers requests.
    """

    def __init__(self, host: IHost, wall_seconds: Callable[[], float] = time.time) -> None:
        self.playlists = Playlists(host, wall_seconds, self._answer)
        self.presentations: dict[tuple[str, ...], Presentation] = {}
        self.sessions = Guests()
        self.again: Callable[[Any], None] = _nobody
        self._host: Any = host
        self._reactor: Any = host.reactor
        self._visits: dict[bytes, Visit] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = self._reactor
        self._unsubscribe = (
            host.events.subscribe(StreamReady, self._stream_ready),
            host.events.subscribe(ApplicationChanged, self._application_changed),
            host.events.subscribe(AccessChanged, self._rules_changed),
            host.events.subscribe(PreferencesChanged, self._rules_changed),
        )

    def startService(self) -> None:
        super().startService()
        if not self._looking.running:
            self._looking.start(LOOK_SECONDS, now=False).addErrback(
                lambda failure: _log.failure("looking after HLS failed", failure)
            )

    def stopService(self) -> None:
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for session in tuple(self.sessions.values()):
            self._leave(session, "the server stops")
        self.playlists.close()

    def find_file(self, target: bytes) -> File | None:
        """Return what is ready to be sent for a target, as of `IFolderRoute.make_ready`."""
        query = b""
        if b"?" in target:
            target, _mark, query = target.partition(b"?")
        folder, _slash, name = target.rpartition(b"/")
        visit = self._visits.get(folder)
        if visit is None or (visit.session is None and self._tells_apart(visit.playlist)):
            return None
        if query and visit.playlist.urgent and name == PLAYLIST_NAME:
            return self._find_version(visit, query)
        return visit.find(name, self._reactor.seconds())

    def _find_version(self, visit: Visit, query: bytes) -> File | None:
        """Return the version of a playlist that a query asks for, where that is there."""
        playlist = visit.playlist
        if playlist.stream is None or PLAYLIST_NAME not in playlist.files:
            return None
        try:
            file = playlist.waiters.find(parse_directives(query.decode("ascii")))
        except WrongDirective:
            return None
        if file is not None:
            visit.sent(file, self._reactor.seconds())
        return file

    def hold(self, exchange: Any) -> bool:
        """Hold a request for what a low-latency playlist does not have yet, the short way.

        Returns:
            Whether it is held; else it has to be looked at further.

        Raises:
            WrongDirective: As of `Waiters.find`.
        """
        target, _mark, query = exchange.target.partition("?")
        folder, _slash, name = target.rpartition("/")
        visit = self._visits.get(folder.encode("ascii"))
        if visit is None or not visit.playlist.urgent or visit.playlist.stream is None:
            return False
        if visit.session is None and self._tells_apart(visit.playlist):
            return False
        now = self._reactor.seconds()
        if not self.wait(exchange, visit.playlist, visit.session, name.encode("ascii"), query):
            return False
        visit.seen(now)
        return True

    def wait(
        self, exchange: Any, playlist: Playlist, session: Session | None, name: bytes, query: str
    ) -> bool:
        """Hold a request until what it asks for is there.

        Returns:
            Whether it is held: not where it is there, or will not come.

        Raises:
            WrongDirective: As of `Waiters.find`.
        """
        wish = None
        if name == PLAYLIST_NAME:
            if PLAYLIST_NAME not in playlist.files or not playlist.window.can_block:
                return False
            if playlist.stream is None:
                return False  # nothing more will come: this is the list
            wish = parse_directives(query)
            if playlist.waiters.find(wish) is not None:
                return False
        elif name in playlist.files or not name or name != playlist.window.hint:
            return False
        now = self._reactor.seconds()
        playlist.waiters.add(Waiter(exchange, session, wish, name, now))
        return True

    def _answer(self, playlist: Playlist, waiter: Waiter, status: int, file: File | None) -> None:
        """Answer a request that was held."""
        session = waiter.session
        if session is None:
            application = playlist.key.application
            is_asked = bool(self.refusal_of_all(application)) or self._tells_apart(playlist)
        else:
            is_asked = session.viewer is None or session.decided_at is None
        if is_asked:
            self.again(waiter.exchange)
        elif file is None:
            text = "it did not come in time" if status == 503 else "it did not come"
            waiter.exchange.refuse(status, text)
        else:
            now = self._reactor.seconds()
            counter = playlist.counter if session is None else session.viewer
            if counter is not None:
                counter.sent_bytes += len(file.body)
            playlist.seen = now
            if session is not None:
                session.seen = now
            waiter.exchange.respond_ready(file)

    # Applications

    def has_sessions(self, name: str) -> bool:
        """Whether each viewer of an application has a session.

        An address without one is the same for all, and could be passed on: what is protected has
        sessions whatever the operator chose.
        """
        application = self.playlists.application(name)
        return bool(
            application.hls_sessions
            or application.signed
            or application.referers
            or application.jwks_url
            or application.authorize_url
            or self._host.access.is_asked_outside(name)
        )

    def _tells_apart(self, playlist: Playlist) -> bool:
        """Whether it matters who asks at an address that is the same for all."""
        found: bool = self._host.access.tells_players_apart(playlist.key.application)
        return found

    def refusal_of_all(self, name: str) -> str:
        """Return why an application serves nothing at addresses without a session; or nothing."""
        found = self._host.applications.get(name)
        if found is None or not found.enabled or PROTOCOL not in found.outputs:
            return f'application "{name}" does not serve HLS'
        if self.has_sessions(name):
            return "this address has no session: ask for the stream's .m3u8"
        return ""

    def _rules_changed(self, _event: AccessChanged | PreferencesChanged) -> None:
        """Have everybody asked again before the next answer."""
        for session in self.sessions.values():
            self._have_asked(session)
        for playlist in self.playlists.by_place.values():
            self._forget_open(playlist)

    def _have_asked(self, session: Session) -> None:
        session.decided_at = None
        self._forget_folders(session)

    def _application_changed(self, event: ApplicationChanged) -> None:
        """The same for one application."""
        for session in self.sessions.values():
            if session.request.key.application == event.name:
                self._have_asked(session)
        for playlist in self.playlists.by_place.values():
            if playlist.key.application == event.name:
                playlist.always = False
                self._forget_open(playlist)
        for playlist in self.playlists.regroup(event.name):
            self._forget_playlist(playlist)
        for name in {event.name, event.after}:
            if name is not None and self.playlists.application(name).hls_always:
                for key in tuple(self._host.hub.streams):
                    if key.application == name:
                        self._run_always(key)

    # Playlists

    def present(self, key: StreamKey, offers: Sequence[Offer]) -> Presentation:
        """Have all playlists made that a multivariant playlist names.

        Args:
            key: The name that was asked for.
            offers: What it names.

        Raises:
            NotFound: None of them can be made.
        """
        made = [x for x in offers if not x.is_muxed]
        playlists = [self.playlists.obtain(x.stream.key, x.rendition) for x in made]
        place = (str(key), *(f"{x.key}/{x.rendition.folder}" for x in playlists))
        found = self.presentations.get(place)
        if found is None:
            has_pictures = any(x.has_pictures for x in made)
            found = self.presentations[place] = Presentation()
            for offer, playlist in zip(made, playlists, strict=True):
                is_main = offer.has_pictures or not has_pictures
                (found.main if is_main else found.others).append(playlist)
        now = self._reactor.seconds()
        problem: NotFound | None = None
        running = 0
        for offer, playlist in zip(made, playlists, strict=True):
            playlist.seen = now
            try:
                playlist.run(offer.stream)
                running += 1
            except NotFound as error:
                problem = error
        if problem is not None and not running:
            raise problem
        return found

    def _stream_ready(self, event: StreamReady) -> None:
        if self.playlists.application(event.key.application).hls_always:
            self._run_always(event.key)

    def _run_always(self, key: StreamKey) -> None:
        stream = self._host.hub.streams.get(key)
        if stream is None or not stream.is_ready:
            return
        try:
            offers = compose({}, self.playlists.application(key.application), [stream])
            presentation = self.present(key, offers)
            for playlist in (*presentation.main, *presentation.others):
                playlist.always = True
        except NotFound as error:
            _log.warn("{key}: no HLS: {error}", key=key, error=error)

    # Sessions

    def new_session(self, request: Request, key: StreamKey) -> Session:
        """Begin a session for a request that was allowed.

        Raises:
            HubFull: There are too many.
        """
        session = Session(
            session_name(self._host.random(SESSION_BYTES)),
            request,
            key,
            self._reactor.seconds(),
        )
        self.sessions.add(session)
        return session

    def join(self, session: Session, stream: Any, playlist: Playlist) -> None:
        """Count a session as a viewer of a stream. Idempotent.

        Of several streams that are joined it is the one whose pictures were asked for last.

        Raises:
            Denied: There is no room for it now.
            NotFound: It was forgotten while it was decided about: nobody would see it leave.
        """
        if session.refused:
            return
        if session.name not in self.sessions:
            raise NotFound(NO_SESSION)
        if session.viewer is not None and session.playlist is not None:
            if session.playlist.key == playlist.key or not playlist.rendition.has_pictures:
                return
            session.viewer.leave("plays another variant")
            self._part(session)
        request, verdict = session.request, session.verdict
        if verdict is not None:
            check_room(self._host, request, verdict)
            # The session looks after its lifetime, while nobody watches too.
            verdict = replace(verdict, lifetime=0.0)
        info = ViewerInfo(
            PROTOCOL, request.peer, request.user_agent, request.page_url, request, verdict
        )
        viewer = stream.visit(info, lambda _reason: self._part(session))
        session.used = True
        if not viewer.watching:
            # Who was told of it has sent it away.
            session.refused = "sent away" if viewer.kicked else ""
            return
        session.playlist = playlist
        session.viewer = viewer
        self.sessions.set_used(session)
        _log.info("{peer}: plays {key} by hls", peer=request.peer, key=playlist.key)

    def remember(
        self, folder: str, key: StreamKey, session: Session | None, playlist: Playlist
    ) -> None:
        """Answer what comes for a folder from memory from now on.

        Only of the address as the playlists name it: others are found the long way. And of the
        streams that are joined, only of the one that is watched: another has to join first. Not
        where it matters who asks: the short way does not know.

        Args:
            folder: The address as sent, without the last slash.
            key: The stream that it names.
            session: Whose it is; None for one of all.
            playlist: What is in it.
        """
        name = "" if session is None else session.name
        below = quote(self.playlists.folder_of(playlist.key, playlist.rendition))
        own = "/".join(("", *map(quote, key), f"~{name}", below))
        if folder != own:
            return
        place = own.encode("ascii")
        if session is None:
            if not self.has_sessions(key.application):
                playlist.open_folders.add(place)
                self._visits[place] = Visit(playlist, None, playlist.counter)
        elif session.viewer is not None and session.decided_at is not None and not session.ip:
            watched = session.playlist
            if (
                watched is None
                or watched.key == playlist.key
                or not playlist.rendition.has_pictures
            ):
                if place not in session.folders:
                    session.folders.append(place)
                self._visits[place] = Visit(playlist, session, session.viewer)

    def refuse(self, session: Session, reason: str) -> None:
        """Give a session nothing any more."""
        session.refused = reason
        self._leave(session, reason)

    def _leave(self, session: Session, reason: str) -> None:
        viewer = session.viewer
        if viewer is not None:
            viewer.leave(reason)
            self._part(session)

    def _part(self, session: Session) -> None:
        """Undo `join`. Idempotent."""
        session.playlist = None
        viewer, session.viewer = session.viewer, None
        self.sessions.set_unused(session)
        self._forget_folders(session)
        if viewer is not None and viewer.kicked:
            session.refused = viewer.reason

    def _forget_folders(self, session: Session) -> None:
        for folder in session.folders:
            self._visits.pop(folder, None)
        session.folders = []

    def _forget_open(self, playlist: Playlist) -> None:
        for folder in playlist.open_folders:
            self._visits.pop(folder, None)
        playlist.open_folders.clear()

    def _forget_playlist(self, playlist: Playlist) -> None:
        """Answer nothing from a playlist that was let go of."""
        self._forget_open(playlist)
        for session in self.sessions.values():
            if session.playlist is playlist:
                self._forget_folders(session)
        for place, presentation in tuple(self.presentations.items()):
            if playlist in presentation.main or playlist in presentation.others:
                del self.presentations[place]

    # Time

    def _look(self) -> None:
        now = self._reactor.seconds()
        for session in tuple(self.sessions.values()):
            try:
                self._look_at(session, now)
            except Exception:  # a bug in one is not the others' business
                _log.failure("looking after a session of {key} failed", key=session.key)
        for key, presentation in tuple(self.presentations.items()):
            try:
                if not presentation.look(now, self._host.hub.streams):
                    del self.presentations[key]
            except Exception:
                _log.failure("keeping the playlists of {key} together failed", key=key[0])
        for playlist in self.playlists.look(now):
            self._forget_playlist(playlist)

    def _look_at(self, session: Session, now: float) -> None:
        if session.viewer is not None and session.playlist is not None:
            if now - session.seen > session.playlist.idle_seconds and not session.held:
                self._leave(session, "no more requests")
            elif now >= session.valid_until and session.decided_at is not None:
                self._decide_again(session)
        elif session.is_over(now):
            self.sessions.forget(session)

    def _decide_again(self, session: Session) -> None:
        """Ask whether one that watches may go on, as its permission ends.

        Until there is an answer its requests go the long way, and ask themselves.
        """
        session.decided_at = None
        self._forget_folders(session)
        deciding = Deferred.fromCoroutine(self.ask_again(session, as_new=False))
        deciding.addErrback(self._not_decided, session)

    async def ask_again(self, session: Session, *, as_new: bool) -> None:
        """Have a session decided again, after a change or at the end of its permission.

        Args:
            session: One that was allowed.
            as_new: It comes back after a while, and is asked like one who comes.

        Raises:
            Denied: It may not go on.
        """
        if as_new:
            self.permit(session, await allowed(self._host, session.request))
            return
        is_over = self._reactor.seconds() >= session.valid_until
        verdict = await allowed(
            self._host, session.request, again=True, ask=is_over, has=session.key
        )
        if is_over:
            self.permit(session, verdict)
            return
        # What others said, a new name and a lifetime, holds on.
        now = self._reactor.seconds()
        session.decided_at = now
        if verdict.lifetime:
            session.valid_until = min(session.valid_until, now + verdict.lifetime)

    def _not_decided(self, failure: Failure, session: Session) -> None:
        if failure.check(Denied):
            self.refuse(session, str(failure.value))
        else:
            _log.failure("a decision failed", failure)

    def permit(self, session: Session, verdict: Verdict) -> None:
        """Take a verdict that allows a session."""
        if (verdict.rename or session.request.key) != session.key:
            self.refuse(session, "this is another stream now: ask for the .m3u8 again")
            return
        now = self._reactor.seconds()
        session.verdict = verdict
        session.decided_at = now
        session.valid_until = now + verdict.lifetime if verdict.lifetime else float("inf")


def _nobody(_exchange: Any) -> None:
    """Stand for who answers requests."""
