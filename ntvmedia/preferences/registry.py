"""The values that hold now: in memory for every decision, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ntvmedia.errors import ConfigError
from ntvmedia.events import EventBus, PreferencesChanged
from ntvmedia.preferences.values import FIELDS, Values, WrongPreference, describe, read_values
from ntvmedia.store import StoreError, list_preferences, write_preferences
from ntvmedia.store.notes import Note, take_note

_T = TypeVar("_T")

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next; about what a database server takes to start again."""


class Database(Protocol):
    """What is needed of an `ntvmedia.store.Store`."""

    def run(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do the same, and wait for it."""


class Preferences:
    """The settings of the whole server. Used from the reactor thread only.

    Changes are made one after the other, in the database first. A write that fails may have been
    committed all the same: what is here is then in doubt, and is read again before the next change.

    Args:
        store: The database.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.
        reactor: Has what is in doubt read again every `RETRY_SECONDS` while the database fails.
            Without, it is not read before the next change.

    Attributes:
        values: Those that hold now; defaults before `load`.
    """

    _log = Logger()

    def __init__(
        self,
        store: Database,
        events: EventBus,
        wall_clock: Callable[[], float],
        reactor: Any = None,
    ) -> None:
        self._store = store
        self._events = events
        self._wall_clock = wall_clock
        self._reactor = reactor
        self._turns = DeferredLock()
        self._is_in_doubt = False
        self._is_checking = False
        self.values = Values()

    def load(self) -> None:
        """Read them from the database; blocking, at the start.

        A value that this program does not understand counts as not set.

        Raises:
            ConfigError: The database cannot be read. What is here stays.
        """
        try:
            rows = self._store.run_now(list_preferences)
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None
        self.values = self._read(rows)

    def change(self, fields: Mapping[str, object], note: Note | None = None) -> Deferred[Values]:
        """Set values.

        Args:
            fields: What changes, as for `read_values`.
            note: Called in the same transaction with what `describe` says before and after.

        Returns:
            Fires with all values when they are in the database and here. Fails with
            `WrongPreference`: nothing has changed then; or with `StoreError`: nothing has changed
            here, until it is known what the database has. Cancelling it leaves the change alone.
        """
        # What the caller is given is not the change itself: a client that hangs up cancels the
        # one, and must not leave the other half done, in the database and not here.
        answer: Deferred[Values] = Deferred()
        self._turns.run(self._change, dict(fields), note).chainDeferred(answer)
        return answer

    async def _change(self, raw: dict[str, object], note: Note | None) -> Values:
        await self._settle()
        before = self.values
        after = replace(before, **read_values(raw))
        if after == before:
            return before
        shown, shown_before = describe(after), describe(before)
        changed = {name: shown[name] for name in FIELDS if shown[name] != shown_before[name]}

        def save(connection: Any) -> None:
            write_preferences(connection, changed)
            take_note(note, connection, shown_before, shown)

        try:
            await self._store.run(save)
        except StoreError as error:
            self._doubt()
            self._log.error("the change of preferences is not saved: {error}", error=error)
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise
        self.values = after
        self._log.info("preferences were changed: {changed}", changed=list(changed))
        self._events.emit(PreferencesChanged())
        return after

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if not self._is_checking and self._reactor is not None:
            self._is_checking = True
            self._reactor.callLater(RETRY_SECONDS, self._check)

    def _check(self) -> None:
        """Settle a doubt in the background, after the changes that wait already."""
        checking = self._turns.run(self._settle)
        checking.addCallbacks(self._checked, self._not_checked)

    def _checked(self, _result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Any) -> None:
        if failure.check(StoreError):
            self._reactor.callLater(RETRY_SECONDS, self._check)
            return
        self._is_checking = False
        self._log.failure("the preferences cannot be read", failure)

    async def _settle(self) -> None:
        """Have here what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read. What is here stays, and stays in doubt.
        """
        if not self._is_in_doubt:
            return
        found = self._read(await self._store.run(list_preferences))
        self._is_in_doubt = False
        if found != self.values:
            self.values = found
            self._log.info("preferences were changed in the database")
            self._events.emit(PreferencesChanged())

    def _read(self, rows: Mapping[str, object]) -> Values:
        values = Values()
        for name, value in rows.items():
            try:
                values = replace(values, **read_values({name: value}))
            except WrongPreference as error:
                # Of a newer version, or written by hand.
                self._log.error("a preference is not used: {error}", error=error)
        return values
