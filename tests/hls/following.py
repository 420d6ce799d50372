"""A session as a low-latency player has it: it waits for each part, and asks for it beforehand."""

from __future__ import annotations

from typing import Any

from tests.hls.m3u8 import MediaPlaylist, demand
from tests.hls.resources import Answer
from tests.hls.rig import Pending
from tests.hls.watching import Watching, check_headers

# A request is answered after so many target durations at latest, with 503 if need be (6.2.5.2).
LONGEST_HOLD = 3

# A cache may keep what was waited for so many target durations.
CACHED_TARGETS = 6

# A server need not have a timer for each request.
_SLACK_SECONDS = 1.0

# More versions than this in one moment are a server that does not wait.
_MOST_VERSIONS = 200


class Following(Watching):
    """Follows a low-latency playlist by blocking requests, delta updates and preload hints.

    Args:
        deltas: It asks for delta updates.
        hints: It asks for the part that is hinted.
        arguments: As of `Watching`.

    Attributes:
        versions: How many there were since it began.
        deltas: How many of them were delta updates.
        hinted: How many parts it had asked for beforehand, and got.
        unavailable: How many requests were answered with 503.
        refused: How many hints came to nothing.
    """

    def __init__(
        self, *arguments: Any, deltas: bool = True, hints: bool = True, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.monitor = type(self.monitor)(self._fetch, self._segment)
        self.versions = self.deltas = self.hinted = self.unavailable = self.refused = 0
        self._wants_deltas, self._wants_hints = deltas, hints
        self._reload: Pending | None = None
        self._asked: tuple[int, int] = (0, 0)
        self._asked_at = 0.0
        self._hint = ""
        self._ahead: Pending | None = None
        self._bodies: dict[str, bytes] = {}
        self._idle = False

    def leave(self) -> None:
        super().leave()
        self._drop()

    def step(self) -> None:
        if not self.is_polling:
            return
        for _version in range(_MOST_VERSIONS):
            if self._idle:
                # It asks now and then, as all do where nothing changes.
                super().step()
                self._idle = not self.rig.host.hub.streams
                return
            self._look_ahead()
            if self._reload is None:
                self._ask()
            assert self._reload is not None
            answer = self._reload.answer
            if answer is None:
                demand(not self._reload.has_begun, "reload-begun", "half an answer")
                waited = self.rig.now - self._asked_at
                playlist = self.monitor.playlist
                assert playlist is not None
                limit = LONGEST_HOLD * playlist.target + _SLACK_SECONDS
                demand(waited <= limit, "held-long", f"{self._asked} for {waited:.2f} s (C-LL-04)")
                if waited >= playlist.target:
                    self.poll()  # the rules on time hold all the same
                return
            self._reload.leave()
            self._reload = None
            self._take(answer)
            if self.monitor.playlist is not None and self.monitor.playlist.ended:
                return
        demand(False, "spinning", f"{_MOST_VERSIONS} versions at once (C-LL-01)")

    def poll(self) -> MediaPlaylist:
        playlist = super().poll()
        if playlist.ended:
            self._drop()
        return playlist

    def _take(self, answer: Answer) -> None:
        if answer.status == 503:
            self.unavailable += 1
            self.poll()
            return
        demand(answer.status == 200, "status", f"{self._asked}: {answer.status}")
        playlist = self.monitor.saw(self.rig.now, answer.body)
        # What was waited for is the same for all who ask for it (appendix B.1).
        check_headers(answer.headers, CACHED_TARGETS * playlist.target)
        self.versions += 1
        self.deltas += playlist.skipped > 0
        # Who waits for a stream that is over is told that nothing has come (C-LL-04).
        self._idle = not self.rig.host.hub.streams and playlist.next <= self._asked
        early = playlist.next <= self._asked and not (playlist.ended or self._idle)
        demand(not early, "too-early", f"{self._asked} asked, {playlist.next} is next (C-LL-01)")

    def _ask(self) -> None:
        playlist = self.monitor.playlist
        assert playlist is not None
        self._asked, self._asked_at = playlist.next, self.rig.now
        control = playlist.control
        if control is None or not control.can_block:
            demand(False, "no-blocking", "it cannot be followed")
        number, part = self._asked
        query = f"?_HLS_msn={number}&_HLS_part={part}"
        if self._wants_deltas and control is not None and control.can_skip_until:
            query += "&_HLS_skip=YES"
        self._reload = self.player.ask(query)

    # The part that comes next

    def _look_ahead(self) -> None:
        playlist = self.monitor.playlist
        assert playlist is not None
        if self._ahead is not None:
            answer = self._ahead.answer
            if answer is None:
                demand(not self._ahead.has_begun, "hint-begun", f"{self._hint} (C-LL-09)")
                return
            self._ahead.leave()
            self._ahead = None
            if answer.status == 200:
                self._bodies[self._hint] = answer.body
                # Whoever reads the playlist now finds it there.
                body, name = self.player.poll().body, f'URI="{self._hint}"'.encode()
                listed = name in body and b"TYPE=PART," + name not in body
                demand(listed, "hint-early", f"{self._hint} is not listed (C-LL-09)")
            else:
                demand(answer.status == 404, "hint-status", f"{self._hint}: {answer.status}")
                self.refused += 1
        if self._wants_hints and playlist.hint and playlist.hint != self._hint:
            self._hint = playlist.hint
            folder = self.player.playlist.rpartition("/")[0]
            self._ahead = self.rig.ask(f"{folder}/{self._hint}")

    def _fetch(self, uri: str) -> Answer:
        """Fetch what is listed: what was asked for beforehand is there, and the same."""
        if uri == self._hint and self._ahead is not None:
            held = self._ahead.answer is None
            demand(not held, "hint-held", f"{uri} is listed, and its request held (C-LL-09)")
            self._look_ahead_answered()
        answer = self.player.fetch(uri)
        ahead = self._bodies.pop(uri, None)
        if ahead is not None:
            self.hinted += 1
            demand(answer.body == ahead, "hint-bytes", f"{uri} differs from its hint (C-LL-09)")
        return answer

    def _look_ahead_answered(self) -> None:
        assert self._ahead is not None
        answer = self._ahead.answer
        assert answer is not None
        self._ahead.leave()
        self._ahead = None
        demand(answer.status == 200, "hint-status", f"{self._hint}: {answer.status}")
        self._bodies[self._hint] = answer.body

    def _drop(self) -> None:
        for pending in (self._reload, self._ahead):
            if pending is not None:
                pending.leave()
        self._reload = self._ahead = None
        self._hint = ""
        self._bodies.clear()
