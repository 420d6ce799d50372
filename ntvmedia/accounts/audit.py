"""The audit log: who changed what, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.accounts.roles import Identity
from ntvmedia.store import (
    AuditPage,
    AuditQuery,
    AuditRow,
    Note,
    StoreError,
    insert_audit,
    prune_audit,
    query_audit,
)

KEEP_SECONDS: Final = 400 * 24 * 3600.0
"""As long as statistics are kept (P-308)."""

MAX_VALUE_BYTES: Final = 64 << 10
"""Of one side of a change, as JSON: more than any thing has, and no row is a burden."""

# What is deleted in one transaction: some milliseconds.
_BATCH_ROWS: Final = 1000

_MAX_TEXT_LENGTH: Final = 300
_MAX_ACTION_LENGTH: Final = 64

_Shown = Mapping[str, object] | None


class Audit:
    """The log.

    Args:
        store: The database.
        wall_clock: Returns the seconds since 1970; from any thread.
    """

    _log = Logger()

    def __init__(self, store: Any, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._wall_clock = wall_clock
        self._is_pruning = False

    def note(self, identity: Identity, peer_host: str, action: str, subject: str) -> Note:
        """Return what writes one row with a change.

        Of a thing that was there before and is there after, what did not change is left out.

        Args:
            identity: Who asks.
            peer_host: The address that asks; empty for the command line.
            action: Such as "users.change"; at most 64 characters.
            subject: The thing's name.
        """

        def write(connection: Any, before: _Shown, after: _Shown) -> None:
            before, after = _differences(before, after)
            insert_audit(
                connection,
                AuditRow(
                    time=self._wall_clock(),
                    who=_clean(identity.name),
                    kind=identity.kind,
                    session=identity.session,
                    peer_host=_clean(peer_host),
                    action=_clean(action)[:_MAX_ACTION_LENGTH],
                    subject=_clean(subject),
                    before=before,
                    after=after,
                ),
            )

        return write

    def query(self, query: AuditQuery) -> Deferred[AuditPage]:
        """Read the log.

        Returns:
            Fails with `StoreError`.
        """
        found: Deferred[AuditPage] = self._store.run(
            lambda connection: query_audit(connection, query), read_only=True
        )
        return found

    def prune(self) -> Deferred[None]:
        """Remove what is older than `KEEP_SECONDS`, some at a time.

        Returns:
            Fires when it is done, or was tried.
        """
        return Deferred.fromCoroutine(self._prune())

    async def _prune(self) -> None:
        if self._is_pruning:
            return
        self._is_pruning = True
        before = self._wall_clock() - KEEP_SECONDS
        try:
            removed = _BATCH_ROWS
            while removed == _BATCH_ROWS:
                removed = await self._store.run(
                    lambda connection: prune_audit(connection, before, _BATCH_ROWS)
                )
        except StoreError as error:
            self._log.error("old rows of the audit log stay: {error}", error=error)
        finally:
            self._is_pruning = False


def _differences(before: _Shown, after: _Shown) -> tuple[_Shown, _Shown]:
    if before is not None and after is not None:
        names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        before = {name: value for name, value in before.items() if name in names}
        after = {name: value for name, value in after.items() if name in names}
    return _bounded(before), _bounded(after)


def _bounded(shown: _Shown) -> _Shown:
    if shown is None:
        return None
    # In ASCII, so that it may have every character; a value that JSON has not is told as text.
    text = json.dumps(shown, default=str)
    if len(text) > MAX_VALUE_BYTES:
        return {"not_kept": f"{len(text):,} bytes"}
    found: dict[str, object] = json.loads(text)
    return found


def _clean(text: str) -> str:
    """Return text that every database keeps, and every terminal only shows."""
    cut = text[:_MAX_TEXT_LENGTH]
    # Cut again: PostgreSQL finds rows by at most 2,704 bytes.
    return cut if cut.isprintable() else ascii(cut)[1:-1][:_MAX_TEXT_LENGTH]
