"""Who watches by HLS: a viewer has no connection, only a session that its requests name."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from ntvmedia.access import Request, Verdict
from ntvmedia.hub.viewer import RequestViewer
from ntvmedia.media import StreamKey

if TYPE_CHECKING:
    from ntvmedia.endpoints.http.hls.files import File
    from ntvmedia.endpoints.http.hls.playlist import Playlist

SESSION_BYTES: Final = 16
"""Of randomness in a session's name: nobody guesses 128 bits."""

UNUSED_SECONDS: Final = 30.0
"""A session whose playlist was never asked for is forgotten after this time."""

REMEMBERED_SECONDS: Final = 600.0
"""A viewer that paused for less goes on where it was, if it still may."""


class Counter:
    """Counts the bytes of those who have no session.

    Attributes:
        sent_bytes: So far.
    """

    __slots__ = ("sent_bytes",)

    def __init__(self) -> None:
        self.sent_bytes = 0


class Session:
    """One viewer, over any number of requests and connections.

    Attributes:
        name: Its secret part of the address.
        request: What was allowed.
        key: The stream that is played: that of the request, or what it was renamed to.
        verdict: The answer; what of its lifetime is left, `valid_until` says.
        decided_at: Monotonic seconds of the last decision, or None when the next request has to
            ask again.
        valid_until: Monotonic seconds when the decision ends.
        seen: Monotonic seconds of the last request.
        viewer: While it watches.
        playlist: What it watches: of several, the one with pictures that it asked for last.
        refused: Why it gets nothing any more, or empty.
        folders: The addresses of its folders that are answered from memory.
        held: How many of its requests wait for what is not there yet.
    """

    __slots__ = (
        "decided_at",
        "folders",
        "held",
        "key",
        "name",
        "playlist",
        "refused",
        "request",
        "seen",
        "used",
        "valid_until",
        "verdict",
        "viewer",
    )

    def __init__(self, name: str, request: Request, key: StreamKey, now: float) -> None:
        self.name = name
        self.request = request
        self.verdict: Verdict | None = None
        self.key = key
        self.decided_at: float | None = now
        self.valid_until = float("inf")
        self.seen = now
        self.used = False
        self.viewer: RequestViewer | None = None
        self.playlist: Playlist | None = None
        self.refused = ""
        self.folders: list[bytes] = []
        self.held = 0

    def is_over(self, now: float) -> bool:
        """Whether it can be forgotten."""
        kept = REMEMBERED_SECONDS if self.used else UNUSED_SECONDS
        return self.viewer is None and not self.held and now - self.seen > kept

    @property
    def ip(self) -> str:
        """The address or network that all its requests have to come from; empty for any."""
        return "" if self.verdict is None else self.verdict.ip

    @property
    def host(self) -> str:
        """The client's address without its port."""
        return self.request.peer.rpartition(":")[0]


class Visit:
    """What a folder's address stands for, found for each request without looking further.

    Attributes:
        files: What is in the folder.
        session: Who asks; None where all ask as one.
        playlist: What is asked for.
        counter: Where bytes are counted.
    """

    __slots__ = ("counter", "files", "playlist", "session")

    def __init__(
        self, playlist: Playlist, session: Session | None, counter: Counter | RequestViewer
    ) -> None:
        self.files = playlist.files
        self.playlist = playlist
        self.session = session
        self.counter = counter

    def find(self, name: bytes, now: float) -> File | None:
        """Return a file, and note that it was asked for.

        None where it has to be looked at further: also when nothing is made of a stream, since
        that may have come back.
        """
        playlist = self.playlist
        if playlist.urgent and playlist.window.stale:
            playlist.window.write()
        file = self.files.get(name) if playlist.stream is not None else None
        if file is not None:
            file.asked_for()
            self.sent(file, now)
        return file

    def sent(self, file: File, now: float) -> None:
        """Note that a file is sent."""
        self.counter.sent_bytes += len(file.body)
        self.seen(now)

    def seen(self, now: float) -> None:
        """Note a request."""
        self.playlist.seen = now
        if self.session is not None:
            self.session.seen = now


def session_name(random: bytes) -> str:
    """Write random bytes as they stand in an address."""
    return urlsafe_b64encode(random).rstrip(b"=").decode("ascii")
