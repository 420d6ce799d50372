"""Which tracks a stream has: those from which something comes, in limited time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ntvmedia.hub.timeline import TrackState
from ntvmedia.media import MediaKind


class Analysis:
    """The window in which tracks prove to exist: of a new stream, and of each later publisher.

    What a publisher announces may be wrong: encoders send the header of a track that never comes,
    and leave out that of one that does.

    Args:
        seconds: Length of the window.
        states: Of the timeline.
        audio_only: There are only audio tracks.
        over: Called when all tracks have come, or the window is over.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        seconds: float,
        states: Mapping[int, TrackState],
        over: Callable[[], None],
        *,
        audio_only: bool,
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._states = states
        self._over = over
        self._audio_only = audio_only
        self._window: IDelayedCall | None = None
        self._before: dict[int, int] = {}

    def track_began(self) -> None:
        """Take note of the first packet of a track, while the stream has no tracks yet."""
        began = [x.track.kind for x in self._states.values() if x.packets]
        found = [kind for kind in began if kind is not MediaKind.DATA]
        # Of several tracks of a kind all that are announced are waited for: a viewer that asked
        # for the second would begin with the first.
        expected = sum(x.track.kind is not MediaKind.DATA for x in self._states.values())
        is_complete = MediaKind.AUDIO in found and (self._audio_only or MediaKind.VIDEO in found)
        if is_complete and len(found) == expected:
            self._finish()
        elif self._window is None or len(found) == 1:
            # The window for the other begins with the first sound or picture.
            self._open()

    def publisher_changed(self) -> None:
        """Note what came from the publishers before this one."""
        self._before = {x: state.packets for x, state in self._states.items() if state.packets}

    def publisher_sends(self) -> None:
        """Open the window for what came before and does not any more, unless it is open or past.

        To be called with the first packet after `publisher_changed`, and whenever else.
        """
        if self._before and self._window is None:
            self._open()

    def gone(self) -> list[TrackState]:
        """Return the tracks that only the publishers before this one sent; to be asked once."""
        before, self._before = self._before, {}
        states = map(self._states.get, before)
        return [x for x in states if x and x.packets == before[x.track.id]]

    def cancel(self) -> None:
        """Close the window. Idempotent."""
        window, self._window = self._window, None
        if window is not None and window.active():
            window.cancel()

    def _open(self) -> None:
        self.cancel()
        self._window = self._reactor.callLater(self._seconds, self._finish)

    def _finish(self) -> None:
        self.cancel()
        self._over()
