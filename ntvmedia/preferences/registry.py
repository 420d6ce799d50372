"""The values that hold now: in memory for every decision, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.events import EventBus, PreferencesChanged
from ntvmedia.preferences.values import FIELDS, Values, WrongPreference, describe, read_values
from ntvmedia.store import (
    Changes,
    Database,
    Note,
    list_preferences,
    take_note,
    write_preferences,
)


class Preferences:
    """The settings of the whole server. Used from the reactor thread only.

    They change as `ntvmedia.store.Changes` says.

    Args:
        store: The database.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.
        reactor: As for `Changes`.

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
        self._events = events
        self._wall_clock = wall_clock
        self._changes = Changes(
            "preferences", store, list_preferences, self._read_again, reactor, at_once=False
        )
        self.values = Values()

    def load(self) -> None:
        """Read them from the database; blocking, at the start.

        A value that this program does not understand counts as not set.

        Raises:
            ConfigError: The database cannot be read. What is here stays.
        """
        self.values = self._read(self._changes.load())

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
        return self._changes.in_turn(partial(self._change, dict(fields), note))

    async def _change(self, raw: dict[str, object], note: Note | None) -> Values:
        before = self.values
        after = replace(before, **read_values(raw))
        if after == before:
            return before
        shown, shown_before = describe(after), describe(before)
        changed = {name: shown[name] for name in FIELDS if shown[name] != shown_before[name]}

        def save(connection: Any) -> None:
            write_preferences(connection, changed)
            take_note(note, connection, shown_before, shown)

        await self._changes.commit(save)
        self.values = after
        self._log.info("preferences were changed: {changed}", changed=list(changed))
        self._events.emit(PreferencesChanged())
        return after

    def _read_again(self, rows: Mapping[str, object]) -> None:
        found = self._read(rows)
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
