"""Rules that the API makes: in memory for every decision, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.access.refusals import NameInUse, NoRule, TooMany, WrongField
from ntvmedia.errors import ConfigError
from ntvmedia.events import AccessChanged, ApplicationChanged, EventBus
from ntvmedia.store import (
    Change,
    Changes,
    Database,
    Duplicate,
    Note,
    Rows,
    StoreError,
    take_note,
)

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Any)

MAX_COMMENT_LENGTH: Final = 500

# 1e11 is the year 5138.
MAX_TIME: Final = 1e11

_GONE: Final = "the database has it no more"


class Kept(Generic[_R]):
    """All rules of one kind, by their id.

    They change as `ntvmedia.store.Changes` says; `AccessChanged` tells of it.

    Args:
        store: The database. Without one, for tests, the rules are in memory only.
        events: Told of each change, and tells of applications.
        wall_clock: Returns the seconds since 1970.
        reactor: As for `Changes`.
    """

    WHAT: ClassVar[str]
    """As in `AccessChanged`."""

    MAXIMUM: ClassVar[int]
    """More are refused: all are in memory, and lists of them are shown."""

    _ROWS: ClassVar[Rows[Any]]

    _log = Logger()

    def __init__(
        self,
        store: Database | None,
        events: EventBus,
        wall_clock: Callable[[], float],
        reactor: Any = None,
    ) -> None:
        self._store = store
        self._events = events
        self._wall_clock = wall_clock
        self._rules: dict[str, _R] = {}
        # Where there is no database nothing is committed, so nothing is read.
        self._changes: Changes[list[_R]] = Changes(
            self.WHAT, cast("Database", store), self._ROWS.all, self._read_again, reactor
        )
        self._index()
        events.subscribe(ApplicationChanged, self._application_changed)

    def __iter__(self) -> Iterator[_R]:
        """Yield the rules, in the order in which they were made."""
        return iter(sorted(self._rules.values(), key=lambda rule: rule.created_at))

    def __len__(self) -> int:
        return len(self._rules)

    def find(self, id: str) -> _R:
        """Return the rule of an id that somebody typed.

        Raises:
            NoRule: There is none.
        """
        found = self._rules.get(id)
        if found is None:
            raise NoRule(f"there is none of the id {id[:60]!a}")
        return found

    def load(self) -> None:
        """Read all from the database, instead of what is here; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read, or has what this program does not understand.
        """
        if self._store is None:
            return
        rows = self._changes.load()
        try:
            self._keep_all(rows)
        except WrongField as error:
            # A rule that is left out could let somebody in.
            raise ConfigError(f"{self.WHAT}: {error}", ("database",)) from None

    def remove(self, id: str, *, note: Note | None = None) -> Deferred[None]:
        """Remove a rule.

        Args:
            id: Which.
            note: Written with the change.

        Returns:
            Fires when it is gone. Fails with `NoRule` or `StoreError`.
        """
        return self._in_turn(partial(self._remove, id, note))

    # For subclasses

    def _index(self) -> None:
        """Make what decisions look into of `_rules`, which has changed."""

    def _id(self, rule: _R) -> str:
        return str(rule.id)

    def _shown(self, rule: _R) -> dict[str, object]:
        """Return what a note may have of a rule, as JSON has it."""
        raise NotImplementedError

    def _read(self, row: _R) -> _R:
        """Check a row of the database.

        Raises:
            WrongField: This program does not understand it.
        """
        return row

    def _in_turn(self, change: Callable[[], Change[_T]]) -> Deferred[_T]:
        return self._changes.in_turn(change)

    async def _insert(self, rule: _R, note: Note | None) -> _R:
        if self._id(rule) in self._rules:
            raise NameInUse(f"there is {self._id(rule)} already")
        if len(self._rules) >= self.MAXIMUM:
            raise TooMany(f"there are {self.MAXIMUM:,} already")

        def work(connection: Any) -> None:
            self._ROWS.insert(connection, rule)
            take_note(note, connection, None, self._shown(rule))

        await self._save(work)
        self._rules[self._id(rule)] = rule
        self._changed(rule, "was added")
        return rule

    async def _update(self, before: _R, after: _R, note: Note | None) -> _R:
        if after == before:
            return before
        after = replace(after, updated_at=max(before.created_at, self._wall_clock()))

        def work(connection: Any) -> None:
            if not self._ROWS.update(connection, after):
                raise StoreError(_GONE)
            take_note(note, connection, self._shown(before), self._shown(after))

        await self._save(work)
        self._rules[self._id(after)] = after
        self._changed(after, "was changed")
        return after

    async def _remove(self, id: str, note: Note | None) -> None:
        rule = self.find(id)

        def work(connection: Any) -> None:
            if not self._ROWS.delete(connection, rule):
                raise StoreError(_GONE)
            take_note(note, connection, self._shown(rule), None)

        await self._save(work)
        del self._rules[id]
        self._changed(rule, "was removed")

    # The database

    async def _save(self, work: Callable[[Any], None]) -> None:
        if self._store is None:
            return
        try:
            await self._changes.commit(work)
        except Duplicate as error:
            raise NameInUse(str(error)) from None

    def _read_again(self, rows: list[_R]) -> None:
        before = self._rules
        try:
            self._keep_all(rows)
        except WrongField as error:
            raise StoreError(str(error)) from None
        if before != self._rules:
            self._log.info("{what} were changed in the database", what=self.WHAT)
            self._events.emit(AccessChanged(self.WHAT))

    def _keep_all(self, rows: list[_R]) -> None:
        self._rules = {self._id(row): row for row in map(self._read, rows)}
        self._index()

    def _changed(self, rule: _R, how: str) -> None:
        self._index()
        self._log.info("{what}: {id} {how}", what=self.WHAT, id=self._id(rule), how=how)
        self._events.emit(AccessChanged(self.WHAT, self._id(rule)))

    def _application_changed(self, event: ApplicationChanged) -> None:
        """Follow an application to its new name; `move_access` did so in the database."""
        name, after = event.name, event.after
        if name == after:
            return
        rules = [rule for rule in self._rules.values() if getattr(rule, "application", "") == name]
        if not rules:
            return
        for rule in rules:
            del self._rules[self._id(rule)]
        if after is not None:
            for rule in rules:
                moved = replace(rule, application=after)
                self._rules[self._id(moved)] = moved
        self._index()
        self._events.emit(AccessChanged(self.WHAT))


def read_comment(value: str) -> str:
    """Check what somebody wrote about a rule.

    Raises:
        WrongField: It is too long, or has characters that are not shown.
    """
    if len(value) > MAX_COMMENT_LENGTH:
        raise WrongField(f"it is longer than {MAX_COMMENT_LENGTH} characters", "comment")
    if not value.isprintable():
        raise WrongField("it has a character that cannot be shown", "comment")
    return value


def changes(raw: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields to be changed.

    Raises:
        WrongField: One of them is none that can be.
    """
    for name in raw:
        if name not in allowed:
            raise WrongField(f"cannot be changed; what can is {', '.join(allowed)}", name[:60])
    return dict(raw)
