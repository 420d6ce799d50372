"""Things that are kept in memory and in the database: relay tasks, pushes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import ConfigError
from ntvmedia.store import Note, StoreError, take_note

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_Change = Coroutine[Deferred[Any], Any, _T]

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next, as with applications."""

# Nobody guesses an id, and it fits into an address.
_ID_BYTES: Final = 8


class Database(Protocol):
    """What is needed of an `ntvmedia.store.Store`."""

    def run(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do the same, and wait for it."""


class Times(NamedTuple):
    """When a thing was made and last changed, in seconds since 1970."""

    created_at: float
    updated_at: float


class Rows(NamedTuple):
    """What the database does with the rows of one table.

    Attributes:
        list: Returns all of them, the oldest first.
        insert: Adds one.
        update: Changes the one that has its id; returns whether there was one.
        delete: Removes the one of an id, likewise.
    """

    list: Callable[[Any], list[Any]]
    insert: Callable[[Any, Any], None]
    update: Callable[[Any, Any], bool]
    delete: Callable[[Any, str], bool]


class Kept(Mapping[str, _Item]):
    """All things of a kind by id, the oldest first. Empty before `load`.

    As `ntvmedia.access.Applications`: memory changes after the database has committed; changes
    follow one another; after a write that failed, what is here is in doubt, and is read again.

    Args:
        store: The database.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
        changed: Called after each change with the ids of all that may have changed, were made or
            are gone.
        reactor: Has what is in doubt read again every `RETRY_SECONDS` while the database fails.
    """

    WHAT: ClassVar[str]
    """What one is called in the log: "relay"."""

    ROWS: ClassVar[Rows]
    _log = Logger()

    def __init__(
        self,
        store: Database,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
        changed: Callable[[set[str]], None],
        reactor: Any = None,
    ) -> None:
        self._store = store
        self._wall_clock = wall_clock
        self._random = random
        self._changed = changed
        self._reactor = reactor
        self._items: dict[str, _Item] = {}
        self._times: dict[str, Times] = {}
        self._turns = DeferredLock()
        self._is_in_doubt = False
        # Whether a read in the background waits, for its turn or for the clock.
        self._is_checking = False

    def __getitem__(self, id_: str) -> _Item:
        return self._items[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # Of each kind

    @abstractmethod
    def find(self, id_: str) -> _Item:
        """Return the one of an id that somebody typed.

        Raises:
            Refused: There is none.
        """

    @abstractmethod
    def _made(self, id_: str, raw: Mapping[str, object]) -> _Item:
        """Make one of fields as JSON has them, or refuse it for what it is."""

    @abstractmethod
    def _altered(self, before: _Item, raw: Mapping[str, object]) -> _Item:
        """Make what becomes of one by some fields, likewise."""

    @abstractmethod
    def _admit(self, item: _Item, *, is_new: bool) -> None:
        """Refuse one, new or changed, for what else there is."""

    @abstractmethod
    def _described(self, item: _Item) -> dict[str, Any]:
        """Return what may be shown of it."""

    @abstractmethod
    def _row(self, id_: str, item: _Item, times: Times) -> Any:
        """Return it as the database has it."""

    @abstractmethod
    def _read(self, row: Any) -> _Item:
        """Return what a row says; raises `WrongField`."""

    # To be called

    def times(self, id_: str) -> Times:
        """Return when one was made and changed.

        Raises:
            KeyError: There is none with this id.
        """
        return self._times[id_]

    def load(self) -> None:
        """Read all from the database, instead of what is here; blocking, at the start.

        What this program does not understand is left out, and logged.

        Raises:
            ConfigError: The database cannot be read.
        """
        try:
            rows = self._store.run_now(self.ROWS.list)
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None
        self._keep_all(rows)

    def add(self, fields: Mapping[str, object], note: Note | None = None) -> Deferred[_Item]:
        """Make one.

        Args:
            fields: Values for some or all fields, as JSON has them.
            note: Written with the change.

        Returns:
            Fires with it when it is in the database and here. Fails with `WrongField` or another
            refusal: nothing has changed then; or with `StoreError`: nothing has changed here,
            until it is known what the database has. Cancelling it leaves the change alone.
        """
        return self._in_turn(partial(self._add, dict(fields), note))

    def change(
        self, id_: str, fields: Mapping[str, object], note: Note | None = None
    ) -> Deferred[_Item]:
        """Give one other values; what is not named stays as it is, secrets too.

        Returns:
            As for `add`; also fails as `find` does.
        """
        return self._in_turn(partial(self._change, id_, dict(fields), note))

    def remove(self, id_: str, note: Note | None = None) -> Deferred[None]:
        """Delete one.

        Returns:
            Fires when it is gone. Fails as `find` does, or with `StoreError`.
        """
        return self._in_turn(partial(self._remove, id_, note))

    def _in_turn(self, work: Callable[[], _Change[_T]]) -> Deferred[_T]:
        # What the caller is given is not the change itself: a client that hangs up cancels the
        # one, and must not leave the other half done, in the database and not here.
        answer: Deferred[_T] = Deferred()
        self._turns.run(self._on_firm_ground, work).chainDeferred(answer)
        return answer

    async def _on_firm_ground(self, work: Callable[[], _Change[_T]]) -> _T:
        try:
            await self._settle()
        except StoreError as error:
            self._log.error("a change is not made, for want of a read: {error}", error=error)
            raise
        return await work()

    async def _add(self, raw: dict[str, object], note: Note | None) -> _Item:
        id_ = self._random(_ID_BYTES).hex()
        item = self._made(id_, raw)
        self._admit(item, is_new=True)
        now = self._wall_clock()
        times = Times(now, now)
        row = self._row(id_, item, times)

        def work(connection: Any) -> None:
            self.ROWS.insert(connection, row)
            take_note(note, connection, None, self._described(item))

        await self._save(work)
        self._items[id_], self._times[id_] = item, times
        self._log.info("{what} {id} was added", what=self.WHAT, id=id_)
        self._changed({id_})
        return item

    async def _change(self, id_: str, raw: dict[str, object], note: Note | None) -> _Item:
        before = self.find(id_)
        item = self._altered(before, raw)
        if item == before:
            return before
        self._admit(item, is_new=False)
        created_at = self._times[id_].created_at
        # The clock may have been set back; no change is older than the thing.
        times = Times(created_at, max(created_at, self._wall_clock()))
        row = self._row(id_, item, times)

        def work(connection: Any) -> bool:
            found = self.ROWS.update(connection, row)
            if found:
                take_note(note, connection, self._described(before), self._described(item))
            return found

        if not await self._save(work):
            raise self._lost(id_)
        self._items[id_], self._times[id_] = item, times
        # To which values is nobody's business: there may be secrets among them.
        self._log.info("{what} {id} was changed: {f}", what=self.WHAT, id=id_, f=sorted(raw))
        self._changed({id_})
        return item

    async def _remove(self, id_: str, note: Note | None) -> None:
        item = self.find(id_)

        def work(connection: Any) -> bool:
            found = self.ROWS.delete(connection, id_)
            if found:
                take_note(note, connection, self._described(item), None)
            return found

        if not await self._save(work):
            raise self._lost(id_)
        del self._items[id_], self._times[id_]
        self._log.info("{what} {id} was deleted", what=self.WHAT, id=id_)
        self._changed({id_})

    # Doubts

    async def _save(self, work: Callable[[Any], _T]) -> _T:
        try:
            return await self._store.run(work)
        except StoreError as error:
            self._doubt()
            self._log.error(
                "the change of a {what} is not saved: {error}", what=self.WHAT, error=error
            )
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise

    def _lost(self, id_: str) -> StoreError:
        # Another program wrote, or an answer was lost in a way that nobody noticed.
        self._doubt()
        return StoreError(f"the database has no {self.WHAT} {id_} any more")

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if not self._is_checking:
            self._is_checking = True
            self._check(is_first=True)

    def _check(self, *, is_first: bool = False) -> None:
        """Settle a doubt in the background, after the changes that wait already."""
        checking = self._turns.run(self._settle)
        checking.addCallbacks(self._checked, self._not_checked, errbackArgs=(is_first,))

    def _checked(self, _result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Failure, is_first: bool) -> None:
        # Once is enough: it may go on for as long as the database is gone.
        if is_first and failure.check(StoreError):
            self._log.error("no {what} can be read: {error}", what=self.WHAT, error=failure.value)
        elif is_first:
            self._log.failure("no {what} can be read", failure, what=self.WHAT)
        if self._reactor is None:
            self._is_checking = False
        else:
            self._reactor.callLater(RETRY_SECONDS, self._check)

    async def _settle(self) -> None:
        """Have here what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read. What is here stays, and stays in doubt.
        """
        if not self._is_in_doubt:
            return
        rows = await self._store.run(self.ROWS.list)
        before = self._items
        self._keep_all(rows)
        self._is_in_doubt = False
        ids = set(before) | set(self._items)
        others = {x for x in ids if before.get(x) != self._items.get(x)}
        if others:
            self._log.info("{n} of {what} were read again", n=len(others), what=self.WHAT)
            self._changed(others)

    def _keep_all(self, rows: list[Any]) -> None:
        self._items, self._times = {}, {}
        for row in rows:
            try:
                self._items[row.id] = self._read(row)
            except WrongField as error:
                self._log.error(
                    "{what} {id} is left out: {error}", what=self.WHAT, id=row.id, error=error
                )
            else:
                self._times[row.id] = Times(row.created_at, row.updated_at)
