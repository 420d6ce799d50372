"""How a registry changes what it has in memory for every decision, and in the database for good.

A registry reads its table at the start, and from then on makes each change by its `Changes`:

    class Shelves:
        def __init__(self, store: Database, events: EventBus, reactor: Any = None) -> None:
            self._events = events
            self._shelves: dict[str, Shelf] = {}
            self._changes = Changes("shelves", store, list_shelves, self._read_again, reactor)

        def load(self) -> None:
            self._shelves = _by_name(self._changes.load())

        def label(self, name: str, text: str, note: Note | None = None) -> Deferred[Shelf]:
            return self._changes.in_turn(partial(self._label, name, text, note))

        async def _label(self, name: str, text: str, note: Note | None) -> Shelf:
            before = self.find(name)  # all earlier changes have been made
            after = replace(before, label=read_label(text))

            def work(connection: Any) -> None:
                if not update_shelf(connection, after):
                    raise StoreError(f"the database has no shelf {name} any more")
                take_note(note, connection, describe(before), describe(after))

            await self._changes.commit(work, f"shelf {name}")
            self._shelves[name] = after
            self._events.emit(ShelvesChanged(name))
            return after

        def _read_again(self, rows: list[ShelfRow]) -> None:
            before, self._shelves = self._shelves, _by_name(rows)
            if self._shelves != before:
                self._events.emit(ShelvesChanged())

Whoever hears the event finds what it tells of, here and in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.errors import ConfigError
from ntvmedia.store.problems import Duplicate, StoreError

T = TypeVar("T")
R = TypeVar("R")

Change = Coroutine[Deferred[Any], Any, T]
"""What a change is written as."""

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next; about what a database server takes to start again."""


class Database(Protocol):
    """What a registry needs of a `Store`."""

    def run(self, work: Callable[[Any], T]) -> Deferred[T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], T]) -> T:
        """Do the same, and wait for it."""


class Changes(Generic[R]):
    """The changes of one registry: one after the other, each committed before it counts.

    A commit that fails may have been made all the same: its answer can be lost on the way. The
    registry is then in doubt: all is read again, before the next change and in the background, and
    until then what the registry has stays. Used from the reactor thread only.

    Args:
        what: What changes, in the plural, for the log.
        store: The database.
        read: Called with a connection, in the store's thread: returns all that the registry has.
        read_again: Called with what `read` returned after a doubt: the registry has it instead of
            what it had, and tells of what is different. `StoreError`, for what it does not
            understand, leaves it in doubt.
        reactor: Has the read repeated every `RETRY_SECONDS` while it fails. Without, it is tried
            once, and then not before the next change.
        at_once: Read at once in the background; otherwise after `RETRY_SECONDS`.
    """

    _log = Logger()

    def __init__(
        self,
        what: str,
        store: Database,
        read: Callable[[Any], R],
        read_again: Callable[[R], None],
        reactor: Any = None,
        *,
        at_once: bool = True,
    ) -> None:
        self._what = what
        self._store = store
        self._read = read
        self._read_again = read_again
        self._reactor = reactor
        self._at_once = at_once
        self._turns = DeferredLock()
        self._is_in_doubt = False
        # Whether a read in the background waits, for its turn or for the clock.
        self._is_checking = False
        # Whether the log has that it failed.
        self._was_told = False

    def load(self) -> R:
        """Return all that the database has; blocking, at the start.

        Raises:
            ConfigError: It cannot be read.
        """
        try:
            return self._store.run_now(self._read)
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None

    def in_turn(self, change: Callable[[], Change[T]]) -> Deferred[T]:
        """Make a change when all earlier ones were made.

        Args:
            change: Called when it is its turn, and what the registry has is not in doubt.

        Returns:
            Fires with what the change returns. Fails with what it raises; or with `StoreError`
            where a doubt could not be settled: it was not begun then. Cancelling it leaves the
            change alone.
        """
        return shielded(self._turns.run(self._on_firm_ground, change))

    async def commit(self, work: Callable[[Any], T], what: str = "") -> T:
        """Write, within a change.

        Args:
            work: Called with a connection, in the store's thread. It raises `StoreError` where the
                database has not what the registry has: another program wrote.
            what: What is changed, for the log: "application tv".

        Returns:
            What the work returned, when it is committed: now it counts.

        Raises:
            Duplicate: There is such a row already. Nothing has changed.
            StoreError: It is not known what the database has: it is in doubt.
        """
        try:
            return await self._store.run(work)
        except Duplicate:
            raise
        except StoreError as error:
            self._log.error(
                "the change of {what} is not saved: {error}", what=what or self._what, error=error
            )
            self._doubt()
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise

    async def _on_firm_ground(self, change: Callable[[], Change[T]]) -> T:
        try:
            await self._settle()
        except StoreError as error:
            self._log.error(
                "a change of {what} is not made, for want of a read: {error}",
                what=self._what,
                error=error,
            )
            raise
        return await change()

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if self._is_checking:
            return
        self._is_checking, self._was_told = True, False
        if self._at_once:
            self._check()
        else:
            self._check_later()

    def _check(self) -> None:
        """Settle a doubt in the background, after the changes that wait already."""
        self._turns.run(self._settle).addCallbacks(self._checked, self._not_checked)

    def _checked(self, _result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Failure) -> None:
        # Once is enough: it may go on for as long as the database is gone.
        if not self._was_told and failure.check(StoreError):
            self._log.error("{what} cannot be read: {error}", what=self._what, error=failure.value)
        elif not self._was_told:
            self._log.failure("{what} cannot be read", failure, what=self._what)
        self._was_told = True
        self._check_later()

    def _check_later(self) -> None:
        if self._reactor is None:
            self._is_checking = False
        else:
            self._reactor.callLater(RETRY_SECONDS, self._check)

    async def _settle(self) -> None:
        """Have the registry have what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read, or is not understood. It stays in doubt.
        """
        if self._is_in_doubt:
            self._read_again(await self._store.run(self._read))
            self._is_in_doubt = False


def shielded(change: Deferred[T]) -> Deferred[T]:
    """Return what may be cancelled, and fires with what cannot.

    A client that hangs up cancels what its request was given, and must not leave a change half
    done: in the database, and not in memory.
    """
    answer: Deferred[T] = Deferred()
    change.chainDeferred(answer)
    return answer
