"""All that HLS serves: the playlists of all streams, the sessions, and who is given what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ntvmedia.access import Access, Application, Request
from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.endpoints.http.hls.playlist import KEPT_SECONDS, Playlist
from ntvmedia.endpoints.http.hls.renditions import WHOLE
from ntvmedia.endpoints.http.hls.sessions import (
    MAX_SESSIONS,
    MAX_SPELLINGS,
    SESSION_BYTES,
    Counter,
    Session,
    Visit,
    session_name,
)
from ntvmedia.endpoints.http.hls.window import Window
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
        self._open_folders: dict[str, set[bytes]] = {}
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
                self._forget_folders(session)
        for folder in self._open_folders.pop(event.name, ()):
            self._visits.pop(folder, None)
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
        if len(self.sessions) >= MAX_SESSIONS:
            raise HubFull("too many sessions")
        name = session_name(self._host.random(SESSION_BYTES))
        session = Session(name, request, key, rendition, self._reactor.seconds())
        self.sessions[name] = session
        return session

    def join(self, session: Session, stream: Any, playlist: Playlist) -> None:
        """Count a session as a viewer of a stream. Idempotent."""
        if session.viewer is not None:
            return
        request = session.request

        def ended(reason: str) -> None:
            viewer = session.viewer
            self._part(session)
            if viewer is not None and viewer.kicked:
                session.refused = reason

        info = ViewerInfo(PROTOCOL, request.peer, request.user_agent, request.page_url)
        session.used = True
        session.playlist = playlist
        playlist.sessions += 1
        session.viewer = stream.visit(info, ended)
        _log.info("{peer}: plays {key} by hls", peer=request.peer, key=session.key)
        if session.viewer is not None and not session.viewer.watching:
            self._part(session)  # who was told has sent it away

    def remember(self, folder: bytes, session: Session | None, playlist: Playlist) -> None:
        """Answer what comes for a folder from memory from now on.

        Args:
            folder: Its address as sent, without the last slash.
            session: Whose it is; None for one of all.
            playlist: What is in it.
        """
        if session is None:
            folders = self._open_folders.setdefault(playlist.key.application, set())
            if len(folders) < MAX_SPELLINGS * max(1, len(self.playlists)):
                folders.add(folder)
                self._visits[folder] = Visit(playlist, None, Counter())
        elif session.viewer is not None and folder not in session.folders:
            if len(session.folders) >= MAX_SPELLINGS:
                self._visits.pop(session.folders.pop(0), None)
            session.folders.append(folder)
            self._visits[folder] = Visit(playlist, session, session.viewer)

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
        session.viewer = None
        self._forget_folders(session)
        if playlist is not None:
            playlist.sessions -= 1

    def _forget_folders(self, session: Session) -> None:
        for folder in session.folders:
            self._visits.pop(folder, None)
        session.folders.clear()

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
            if now - session.seen > session.playlist.idle_seconds:
                self._leave(session, "no more requests")
            elif now >= session.valid_until and session.decided_at is not None:
                self._decide_again(session)
        elif session.is_over(now):
            del self.sessions[session.name]

    def _decide_again(self, session: Session) -> None:
        """Ask whether one that watches may go on, as its permission ends."""
        session.decided_at = None
        access: Access = self._host.access
        deciding: Deferred[Any] = access.decide(session.request)
        deciding.addCallback(lambda verdict: self.decided(session, verdict))
        deciding.addErrback(lambda failure: _log.failure("a decision failed", failure))

    def decided(self, session: Session, verdict: Any) -> None:
        """Take a verdict on a session that there is already."""
        now = self._reactor.seconds()
        if not verdict.allowed:
            self.refuse(session, verdict.reason)
            return
        session.decided_at = now
        session.valid_until = now + verdict.lifetime if verdict.lifetime else float("inf")

    def _is_over(self, playlist: Playlist, now: float) -> bool:
        if playlist.stream is not None or playlist.sessions:
            return False
        if playlist.ended_at is None:
            # Its stream goes on: the promised duration of segments must be kept.
            return playlist.key not in self._host.hub.streams
        return now - playlist.ended_at > KEPT_SECONDS

    def _drop(self, place: tuple[StreamKey, str], playlist: Playlist) -> None:
        del self.playlists[place]
        playlist.close()
        window = playlist.window
        self._next_number = max(self._next_number, window.number)
        self._next_discontinuity = max(self._next_discontinuity, window.discontinuities + 1)
        for folders in self._open_folders.values():
            for folder in [x for x in folders if self._visits[x].playlist is playlist]:
                folders.discard(folder)
                del self._visits[folder]
