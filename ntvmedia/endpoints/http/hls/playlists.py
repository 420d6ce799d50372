"""All playlists of one server: made when first asked for, and let go of when they are over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.logger import Logger

from ntvmedia.access import Application
from ntvmedia.endpoints.http.hls.alignment import Alignment, TimeBase
from ntvmedia.endpoints.http.hls.encryption import Encryption
from ntvmedia.endpoints.http.hls.files import Copies, File
from ntvmedia.endpoints.http.hls.keys import KeySource
from ntvmedia.endpoints.http.hls.numbers import Discontinuities
from ntvmedia.endpoints.http.hls.playlist import KEPT_SECONDS, Playlist
from ntvmedia.endpoints.http.hls.renditions import Rendition
from ntvmedia.endpoints.http.hls.sessions import session_name
from ntvmedia.endpoints.http.hls.waiting import Waiter
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, Window
from ntvmedia.formats.m3u8 import Report
from ntvmedia.interfaces import IHost
from ntvmedia.media import StreamKey

# Makes the names of segments differ from those of another run of the server.
_SUFFIX_BYTES: Final = 3

_log = Logger()


class Playlists:
    """The playlists, by stream and folder.

    Numbers of segments begin at the wall clock's seconds, so that they do not go back when the
    server starts again: no list grows by more than a segment a second for long. That clock is read
    once; a step of it changes nothing while the server runs.

    Args:
        host: The server.
        wall_seconds: Seconds since 1970.
        answer: Answers a request that was held, with a status and what there is to send.

    Attributes:
        by_place: All that there are.
        copies: Of segments that many ask for.
        keys: Of encrypted ones.
    """

    def __init__(
        self,
        host: IHost,
        wall_seconds: Callable[[], float],
        answer: Callable[[Playlist, Waiter, int, File | None], None],
    ) -> None:
        self.by_place: dict[tuple[StreamKey, str], Playlist] = {}
        self.copies = Copies()
        self.keys: KeySource = host.part(KeySource)
        self._host: Any = host
        self._reactor: Any = host.reactor
        self._answer = answer
        self._wall = wall_seconds() - self._reactor.seconds()
        self._suffix = session_name(host.random(_SUFFIX_BYTES))
        self._alignments: dict[StreamKey, tuple[Alignment, TimeBase | None]] = {}
        self._discontinuities = Discontinuities(self._host.settings.data)
        self._next_number = 0

    def application(self, name: str) -> Application:
        """Return an application; the defaults for one that is gone."""
        found: Application | None = self._host.applications.get(name)
        return found if found is not None else Application(name)

    # Streams that are joined

    def is_joined(self, application: str) -> bool:
        """Whether the streams of an application may be joined, so that addresses name them."""
        return bool(self.application(application).hls_variants)

    def base_of(self, key: StreamKey) -> StreamKey:
        """Return the name under which a stream is joined with others; its own for one alone."""
        endings = self.application(key.application).hls_variants
        for ending in sorted(endings, key=len, reverse=True):
            if key.stream.endswith(ending) and len(key.stream) > len(ending):
                return StreamKey(key.application, key.stream.removesuffix(ending))
        return key

    def members_of(self, key: StreamKey) -> list[StreamKey]:
        """Return the names of all streams that may be joined under a name, itself first."""
        endings = self.application(key.application).hls_variants
        return [key, *(StreamKey(key.application, key.stream + x) for x in endings)]

    def folder_of(self, key: StreamKey, rendition: Rendition) -> str:
        """Return the folder of a playlist, relative to that of a session."""
        folder = rendition.folder
        return f"{key.stream}/{folder}" if self.is_joined(key.application) else folder

    # Playlists

    def find(self, key: StreamKey, folder: str) -> Playlist | None:
        """Return a playlist that there is."""
        return self.by_place.get((key, folder))

    def obtain(self, key: StreamKey, rendition: Rendition) -> Playlist:
        """Return a playlist, made where there is none; it does not run yet."""
        found = self.by_place.get((key, rendition.folder))
        if found is None:
            found = self.by_place[key, rendition.folder] = self._make(key, rendition)
        return found

    def _make(self, key: StreamKey, rendition: Rendition) -> Playlist:
        base = self.base_of(key)
        aligned = self._alignments.get(base)
        if aligned is None:
            alignment = Alignment(self._discontinuities.first(base))
            time_base = TimeBase() if self.is_joined(key.application) else None
            aligned = self._alignments[base] = alignment, time_base
        alignment, time_base = aligned

        def reports() -> Sequence[Report]:
            return self._reports(playlist)

        playlist = Playlist(
            self._reactor,
            key,
            rendition,
            lambda: self.application(key.application),
            Window(
                0,
                0,
                self._suffix,
                self.copies,
                reports,
            ),
            alignment,
            time_base,
            lambda waiter, status, file: self._answer(playlist, waiter, status, file),
            lambda arrived: Encryption(
                self.keys, key, self._first_number(), self._host.random, arrived
            ),
            self._first_number,
            lambda number: self._discontinuities.used(base, number),
        )
        alignment.playlists.append(playlist)
        return playlist

    def _first_number(self) -> int:
        return max(self._next_number, int(self._wall + self._reactor.seconds()))

    def _reports(self, playlist: Playlist) -> list[Report]:
        """Return where the others stand that are made beside a playlist."""
        up = "../../" if self.is_joined(playlist.key.application) else "../"
        reports = []
        for other in playlist.alignment.playlists:
            same = other.rendition.format_name == playlist.rendition.format_name
            window = other.window
            if other is playlist or not same or other.stream is None or not window.listed:
                continue
            number = window.number if window.parts else window.number - 1
            folder = self.folder_of(other.key, other.rendition)
            uri = f"{up}{folder}/{PLAYLIST_NAME.decode('ascii')}"
            reports.append(Report(uri, number, max(0, window.parts_of(number) - 1)))
        return reports

    # Time

    def look(self, now: float) -> list[Playlist]:
        """Look after all; return those that were let go of."""
        dropped = []
        for place, playlist in tuple(self.by_place.items()):
            try:
                playlist.look(now)
                if self._is_over(playlist, now):
                    self._drop(place, playlist)
                    dropped.append(playlist)
            except Exception:  # a bug in one is not the others' business
                _log.failure("looking after the playlist of {key} failed", key=playlist.key)
        return dropped

    def close(self) -> None:
        """Let go of all."""
        for playlist in self.by_place.values():
            playlist.close()

    def regroup(self, application: str) -> list[Playlist]:
        """Let go of an application's playlists that are joined by another rule than its present.

        Returns:
            Those.
        """
        gone = {}
        for place, playlist in self.by_place.items():
            if playlist.key.application != application:
                continue
            aligned = self._alignments.get(self.base_of(playlist.key))
            is_joined = aligned is not None and aligned[1] is not None
            if (
                aligned is None
                or aligned[0] is not playlist.alignment
                or is_joined != self.is_joined(application)
            ):
                gone[place] = playlist
        for place, playlist in gone.items():
            self._take_out(place, playlist)
        for playlist in gone.values():
            playlist.close()
        return list(gone.values())

    def _is_over(self, playlist: Playlist, now: float) -> bool:
        if playlist.stream is not None:
            return False
        if playlist.ended_at is None:
            # Its stream goes on: the promised duration of segments must be kept.
            if playlist.is_wanted(now) or playlist.key in self._host.hub.streams:
                return False
        elif now - playlist.ended_at <= max(KEPT_SECONDS, playlist.window.length):
            return False
        if PLAYLIST_NAME in playlist.files:
            # First the list goes, then what was in it (RFC 8216bis section 6.2.2).
            playlist.rest()
        return not playlist.files

    def _drop(self, place: tuple[StreamKey, str], playlist: Playlist) -> None:
        self._take_out(place, playlist)
        playlist.close()

    def _take_out(self, place: tuple[StreamKey, str], playlist: Playlist) -> None:
        """Forget a playlist; to be done before it is closed, as who waits then asks for another."""
        del self.by_place[place]
        self._next_number = max(self._next_number, playlist.window.number)
        alignment = playlist.alignment
        alignment.playlists.remove(playlist)
        if not alignment.playlists:
            for base, (other, _time_base) in tuple(self._alignments.items()):
                if other is alignment:
                    del self._alignments[base]
