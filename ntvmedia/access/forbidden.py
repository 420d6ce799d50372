"""Streams that nobody may publish or play until they are allowed again (P-404)."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from ntvmedia.access.keeping import Kept, read_comment
from ntvmedia.access.refusals import NoRule
from ntvmedia.media import StreamKey
from ntvmedia.store import FORBIDDEN_STREAM_ROWS, ForbiddenStreamRow, Note


class ForbiddenStreams(Kept[ForbiddenStreamRow]):
    """All of them; `key in forbidden` says of a stream whether it is one."""

    WHAT = "forbidden"
    MAXIMUM = 100_000
    _ROWS = FORBIDDEN_STREAM_ROWS

    def __init__(self, *arguments: Any) -> None:
        self._keys: frozenset[StreamKey] = frozenset()
        super().__init__(*arguments)

    def __contains__(self, key: StreamKey) -> bool:
        return key in self._keys

    def forbid(
        self, key: StreamKey, comment: str = "", *, note: Note | None = None
    ) -> Deferred[ForbiddenStreamRow]:
        """Refuse a stream, and end it where it is there.

        Args:
            key: Its checked name.
            comment: For people.
            note: Written with the change.

        Returns:
            Fires with what is kept of it; with what was kept before where it is forbidden already.
            Fails with `WrongField`, `TooMany` or `StoreError`.
        """
        return self._in_turn(partial(self._forbid, key, comment, note))

    def allow(self, key: StreamKey, *, note: Note | None = None) -> Deferred[None]:
        """Allow a stream again.

        Returns:
            Fires when it is allowed. Fails with `NoRule`, as it was not forbidden, or `StoreError`.
        """
        return self.remove(str(key), note=note)

    def find(self, id: str) -> ForbiddenStreamRow:
        found = self._rules.get(id)
        if found is None:
            raise NoRule(f"{id[:300]!a} is not forbidden")
        return found

    async def _forbid(self, key: StreamKey, comment: str, note: Note | None) -> ForbiddenStreamRow:
        found = self._rules.get(str(key))
        if found is not None:
            return found
        row = ForbiddenStreamRow(*key, read_comment(comment), self._wall_clock())
        return await self._insert(row, note)

    def _id(self, rule: ForbiddenStreamRow) -> str:
        return f"{rule.application}/{rule.stream}"

    def _shown(self, rule: ForbiddenStreamRow) -> dict[str, object]:
        return {
            "application": rule.application,
            "stream": rule.stream,
            "comment": rule.comment,
        }

    def _index(self) -> None:
        self._keys = frozenset(
            StreamKey(rule.application, rule.stream) for rule in self._rules.values()
        )
