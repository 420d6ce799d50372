"""Rules that the API makes: in memory for every decision, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access.refusals import NameInUse, NoRule, TooMany, WrongField
from ntvmedia.errors import ConfigError
from ntvmedia.events import AccessChanged, ApplicationChanged, EventBus
from ntvmedia.store import Duplicate, Note, Rows, StoreError, take_note

_T = TypeVar("_T")
_R = TypeVar("_R", bound=Any)

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next; as for applications."""

MAX_COMMENT_LENGTH: Final = 500

# 1e11 is the year 5138.
MAX_TIME: Final = 1e11


class Database(Protocol):
    """What is needed of an `ntvmedia.store.Store`."""

    def run(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do the same, and wait for it."""


class Kept(Generic[_R]):
    """All rules of one kind, by their id.

    Changes are made one after the other: first in the database, then here. Then `AccessChanged` is
    emitted. A write that fails may have been committed all the same: what is here is then in doubt,
    and is read again before the next change, and in the background.

    Args:
        store: The database. Without one, for tests, the rules are in memory only.
        events: Told of each change, and tells of applications.
        wall_clock: Returns the seconds since 1970.
        reactor: Has what is in doubt read again while the database fails.
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
        self._reactor = reactor
        self._rules: dict[str, _R] = {}
        self._turns = DeferredLock()
        self._is_in_doubt = False
        # Whether a read in the background waits, for its turn or for the clock.
        self._is_checking = False
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
        try:
            rows = self._store.run_now(self._ROWS.all)
            self._keep_all(rows)
        except (StoreError, WrongField) as error:
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

    def _in_turn(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> Deferred[_T]:
        # As with applications: a client that hangs up does not leave a change half done.
        answer: Deferred[_T] = Deferred()
        self._turns.run(self._on_firm_ground, work).chainDeferred(answer)
        return answer

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

        def work(connection: Any) -> bool:
            if not self._ROWS.update(connection, after):
                return False
            take_note(note, connection, self._shown(before), self._shown(after))
            return True

        if await self._save(work) is False:
            raise self._lost()
        self._rules[self._id(after)] = after
        self._changed(after, "was changed")
        return after

    async def _remove(self, id: str, note: Note | None) -> None:
        rule = self.find(id)

        def work(connection: Any) -> bool:
            if not self._ROWS.delete(connection, rule):
                return False
            take_note(note, connection, self._shown(rule), None)
            return True

        if await self._save(work) is False:
            raise self._lost()
        del self._rules[id]
        self._changed(rule, "was removed")

    # The database

    async def _on_firm_ground(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        await self._settle()
        return await work()

    async def _save(self, work: Callable[[Any], _T]) -> _T | None:
        if self._store is None:
            return None
        try:
            return await self._store.run(work)
        except Duplicate as error:
            raise NameInUse(str(error)) from None
        except StoreError as error:
            self._doubt()
            self._log.error("{what}: not saved: {error}", what=self.WHAT, error=error)
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise

    def _lost(self) -> StoreError:
        # Another program wrote, or an answer was lost in a way that nobody noticed.
        self._doubt()
        return StoreError("the database has it no more")

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if not self._is_checking:
            self._is_checking = True
            self._check()

    def _check(self) -> None:
        self._turns.run(self._settle).addCallbacks(self._checked, self._not_checked)

    def _checked(self, result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Failure) -> None:
        if not failure.check(StoreError):
            self._log.failure("{what} cannot be read", failure, what=self.WHAT)
        if self._reactor is None:
            self._is_checking = False
        else:
            self._reactor.callLater(RETRY_SECONDS, self._check)

    async def _settle(self) -> None:
        """Have here what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read, or not understood. What is here stays, and stays in
                doubt.
        """
        if not self._is_in_doubt or self._store is None:
            return
        before = self._rules
        try:
            self._keep_all(await self._store.run(self._ROWS.all))
        except WrongField as error:
            raise StoreError(str(error)) from None
        self._is_in_doubt = False
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
