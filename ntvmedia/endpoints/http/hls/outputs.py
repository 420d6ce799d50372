"""All that HLS serves: the playlists of all streams, the sessions, and who is given what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access import Application, Request, Verdict
from ntvmedia.endpoints.asking import Denied, allowed
from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.endpoints.http.hls.playlist import KEPT_SECONDS, Playlist
from ntvmedia.endpoints.http.hls.renditions import WHOLE
from ntvmedia.endpoints.http.hls.sessions import (
    MAX_SESSIONS,
    MAX_SESSIONS_OF_HOST,
    MOST_PASSED,
    SESSION_BYTES,
    Session,
    Visit,
    session_name,
)
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, Window
from ntvmedia.events import ApplicationChanged, StreamReady
from ntvmedia.hub.refusals import HubFull
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.interfaces import IHost
from ntvmedia.media import StreamKey

PROTOCOL: Final = "hls"
"""Its name in requests for access, and in the list of viewers."""

LOOK_SECONDS: Final = 1.0

_log = Logger()


class HLSOutputs(Service):
    """The playlists and sessions of one server, shared by its HTTP and HTTPS ports.

    Numbers of segments and discontinuities begin at the wall clock's seconds, so that they do not
    go back when the server starts again: no list grows by more than a segment a second for long.
    That clock is read once; a step of it changes nothing while the server runs.

    Args:
        host: The server.
        wall_seconds: Seconds since 1970.

    Attributes:
        playlists: By stream and rendition.
        sessions: By name.
        copies: Of segments that many ask for.
    """

    def __init__(self, host: IHost, wall_seconds: Callable[[], float] = time.time) -> None:
        self.playlists: dict[tuple[StreamKey, str], Playlist] = {}
        self.sessions: dict[str, Session] = {}
        self.copies = Copies()
        self._host: Any = host
        self._reactor: Any = host.reactor
        self._wall = wall_seconds() - self._reactor.seconds()
        self._suffix = session_name(host.random(3))
        self._visits: dict[bytes, Visit] = {}
        self._hosts: dict[str, dict[str, Session]] = {}
        self._next_number = 0
        self._next_discontinuity = 0
        self._looking = LoopingCall(self._look)
        self._looking.clock = self._reactor
        self._unsubscribe = (
            host.events.subscribe(StreamReady, self._stream_ready),
            host.events.subscribe(ApplicationChanged, self._application_changed),
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
        for playlist in self.playlists.values():
            playlist.close()

    def find_file(self, target: bytes) -> File | None:
        """Return what is ready to be sent for a target, as of `IFolderRoute.make_ready`."""
        if b"?" in target:  # it means nothing here
            target = target.partition(b"?")[0]
        folder, _slash, name = target.rpartition(b"/")
        visit = self._visits.get(folder)
        return None if visit is None else visit.find(name, self._reactor.seconds())

    # Applications

    def application(self, name: str) -> Application:
        """Return an application; the defaults for one that is gone."""
        found: Application | None = self._host.applications.get(name)
        return found if found is not None else Application(name)

    def has_sessions(self, name: str) -> bool:
        """Whether each viewer of an application has a session.

        An address without one is the same for all, and could be passed on: what is protected has
        sessions whatever the operator chose.
        """
        application = self.application(name)
        return bool(application.hls_sessions or application.signed or application.referers)

    def _application_changed(self, event: ApplicationChanged) -> None:
        """Have everybody asked again before the next answer."""
        for session in self.sessions.values():
            if session.request.key.application == event.name:
                session.decided_at = None
                self._forget_folder(session)
        for playlist in self.playlists.values():
            if playlist.key.application == event.name:
                self._visits.pop(playlist.open_folder, None)
        for name in {event.name, event.after}:
            if name is not None and self.application(name).hls_always:
                for key in tuple(self._host.hub.streams):
                    if key.application == name:
                        self._run_always(key)

    # Playlists

    def playlist(self, key: StreamKey, rendition: str, options: Mapping[str, str]) -> Playlist:
        """Return a playlist, made where there is none; it does not run yet.

        Args:
            key: The stream.
            rendition: Name of the folder.
            options: What it stands for.
        """
        found = self.playlists.get((key, rendition))
        if found is None:
            number = max(self._next_number, int(self._wall + self._reactor.seconds()))
            found = Playlist(
                self._reactor,
                key,
                rendition,
                options,
                lambda: self.application(key.application),
                Window(number, max(self._next_discontinuity, number), self._suffix, self.copies),
            )
            self.playlists[key, rendition] = found
        return found

    def _stream_ready(self, event: StreamReady) -> None:
        if self.application(event.key.application).hls_always:
            self._run_always(event.key)

    def _run_always(self, key: StreamKey) -> None:
        stream = self._host.hub.streams.get(key)
        if stream is not None and stream.is_ready:
            self.playlist(key, WHOLE, {}).run(stream)

    # Sessions

    def new_session(self, request: Request, key: StreamKey, rendition: str) -> Session:
        """Begin a session for a request that was allowed.

        Raises:
            HubFull: There are too many.
        """
        session = Session(
            session_name(self._host.random(SESSION_BYTES)),
            request,
            key,
            rendition,
            self._reactor.seconds(),
        )
        others = self._hosts.get(session.host, {})
        if len(others) >= MAX_SESSIONS_OF_HOST and not self._make_room(others):
            raise HubFull("too many sessions from this address")
        if len(self.sessions) >= MAX_SESSIONS and not self._make_room(self.sessions):
            raise HubFull("too many sessions")
        self.sessions[session.name] = session
        self._hosts.setdefault(session.host, {})[session.name] = session
        return session

    def _make_room(self, sessions: Mapping[str, Session]) -> bool:
        """Forget the oldest session that does not watch; False where there is none near."""
        for session in islice(sessions.values(), MOST_PASSED):
            if session.viewer is None and not session.held:
                self._forget(session)
                return True
        return False

    def _forget(self, session: Session) -> None:
        del self.sessions[session.name]
        of_host = self._hosts[session.host]
        del of_host[session.name]
        if not of_host:
            del self._hosts[session.host]

    def join(self, session: Session, stream: Any, playlist: Playlist) -> None:
        """Count a session as a viewer of a stream. Idempotent."""
        if session.viewer is not None or session.refused:
            return
        request = session.request
        info = ViewerInfo(PROTOCOL, request.peer, request.user_agent, request.page_url)
        viewer = stream.visit(info, lambda _reason: self._part(session))
        session.used = True
        if not viewer.watching:
            # Who was told of it has sent it away.
            session.refused = "sent away" if viewer.kicked else ""
            return
        session.playlist = playlist
        playlist.sessions += 1
        session.viewer = viewer
        _log.info("{peer}: plays {key} by hls", peer=request.peer, key=session.key)

    def remember(
        self, folder: str, key: StreamKey, session: Session | None, playlist: Playlist
    ) -> None:
        """Answer what comes for a folder from memory from now on.

        Only of the address as the playlists name it: others are found the long way.

        Args:
            folder: The address as sent, without the last slash.
            key: The stream that it names.
            session: Whose it is; None for one of all.
            playlist: What is in it.
        """
        name = "" if session is None else session.name
        own = "/".join(("", *map(quote, key), f"~{name}", playlist.rendition))
        if folder != own:
            return
        place = own.encode("ascii")
        if session is None:
            if not self.has_sessions(key.application):
                playlist.open_folder = place
                self._visits[place] = Visit(playlist, None, playlist.counter)
        elif session.viewer is not None and session.decided_at is not None:
            session.folder = place
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
        playlist, session.playlist = session.playlist, None
        viewer, session.viewer = session.viewer, None
        self._forget_folder(session)
        if viewer is not None and viewer.kicked:
            session.refused = viewer.reason
        if playlist is not None:
            playlist.sessions -= 1

    def _forget_folder(self, session: Session) -> None:
        self._visits.pop(session.folder, None)
        session.folder = b""

    # Time

    def _look(self) -> None:
        now = self._reactor.seconds()
        for session in tuple(self.sessions.values()):
            try:
                self._look_at(session, now)
            except Exception:  # a bug in one is not the others' business
                _log.failure("looking after a session of {key} failed", key=session.key)
        for place, playlist in tuple(self.playlists.items()):
            try:
                playlist.look(now)
                if self._is_over(playlist, now):
                    self._drop(place, playlist)
            except Exception:
                _log.failure("looking after the playlist of {key} failed", key=playlist.key)

    def _look_at(self, session: Session, now: float) -> None:
        if session.viewer is not None and session.playlist is not None:
            if now - session.seen > session.playlist.idle_seconds and not session.held:
                self._leave(session, "no more requests")
            elif now >= session.valid_until and session.decided_at is not None:
                self._decide_again(session)
        elif session.is_over(now):
            self._forget(session)

    def _decide_again(self, session: Session) -> None:
        """Ask whether one that watches may go on, as its permission ends.

        Until there is an answer its requests go the long way, and ask themselves.
        """
        session.decided_at = None
        self._forget_folder(session)
        deciding = Deferred.fromCoroutine(allowed(self._host, session.request))
        deciding.addCallback(lambda verdict: self.permit(session, verdict))
        deciding.addErrback(self._not_decided, session)

    def _not_decided(self, failure: Failure, session: Session) -> None:
        if failure.check(Denied):
            self.refuse(session, str(failure.value))
        else:
            _log.failure("a decision failed", failure)

    def permit(self, session: Session, verdict: Verdict) -> None:
        """Take a verdict that allows a session."""
        now = self._reactor.seconds()
        session.decided_at = now
        session.valid_until = now + verdict.lifetime if verdict.lifetime else float("inf")

    def _is_over(self, playlist: Playlist, now: float) -> bool:
        if playlist.stream is not None or playlist.sessions:
            return False
        if playlist.ended_at is None:
            # Its stream goes on: the promised duration of segments must be kept.
            if playlist.key in self._host.hub.streams:
                return False
        elif now - playlist.ended_at <= max(KEPT_SECONDS, playlist.window.length):
            return False
        if PLAYLIST_NAME in playlist.files:
            # First the list goes, then what was in it (RFC 8216bis section 6.2.2).
            playlist.rest()
        return not playlist.files

    def _drop(self, place: tuple[StreamKey, str], playlist: Playlist) -> None:
        del self.playlists[place]
        playlist.close()
        self._visits.pop(playlist.open_folder, None)
        window = playlist.window
        self._next_number = max(self._next_number, window.number)
        self._next_discontinuity = max(self._next_discontinuity, window.discontinuities + 1)
