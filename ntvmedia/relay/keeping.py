"""Things that are kept in memory and in the database: relay tasks, pushes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.access.refusals import WrongField
from ntvmedia.store import Changes, Database, Note, StoreError, take_note

_Item = TypeVar("_Item")

# Nobody guesses an id, and it fits into an address.
_ID_BYTES: Final = 8


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

    They change as `ntvmedia.store.Changes` says.

    Args:
        store: The database.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
        changed: Called after each change with the ids of all that may have changed, were made or
            are gone.
        reactor: As for `Changes`.
    """

    WHAT: ClassVar[str]
    """What one is called in the log: "relay"."""

    PLURAL: ClassVar[str]
    """What several are called there."""

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
        self._wall_clock = wall_clock
        self._random = random
        self._changed = changed
        self._items: dict[str, _Item] = {}
        self._times: dict[str, Times] = {}
        self._changes = Changes(self.PLURAL, store, self.ROWS.list, self._read_again, reactor)

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
        self._keep_all(self._changes.load())

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
        return self._changes.in_turn(partial(self._add, dict(fields), note))

    def change(
        self, id_: str, fields: Mapping[str, object], note: Note | None = None
    ) -> Deferred[_Item]:
        """Give one other values; what is not named stays as it is, secrets too.

        Returns:
            As for `add`; also fails as `find` does.
        """
        return self._changes.in_turn(partial(self._change, id_, dict(fields), note))

    def remove(self, id_: str, note: Note | None = None) -> Deferred[None]:
        """Delete one.

        Returns:
            Fires when it is gone. Fails as `find` does, or with `StoreError`.
        """
        return self._changes.in_turn(partial(self._remove, id_, note))

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

        await self._changes.commit(work, f"{self.WHAT} {id_}")
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

        def work(connection: Any) -> None:
            if not self.ROWS.update(connection, row):
                raise self._gone(id_)
            take_note(note, connection, self._described(before), self._described(item))

        await self._changes.commit(work, f"{self.WHAT} {id_}")
        self._items[id_], self._times[id_] = item, times
        # To which values is nobody's business: there may be secrets among them.
        self._log.info("{what} {id} was changed: {f}", what=self.WHAT, id=id_, f=sorted(raw))
        self._changed({id_})
        return item

    async def _remove(self, id_: str, note: Note | None) -> None:
        item = self.find(id_)

        def work(connection: Any) -> None:
            if not self.ROWS.delete(connection, id_):
                raise self._gone(id_)
            take_note(note, connection, self._described(item), None)

        await self._changes.commit(work, f"{self.WHAT} {id_}")
        del self._items[id_], self._times[id_]
        self._log.info("{what} {id} was deleted", what=self.WHAT, id=id_)
        self._changed({id_})

    def _gone(self, id_: str) -> StoreError:
        # Another program wrote, or an answer was lost in a way that nobody noticed.
        return StoreError(f"the database has no {self.WHAT} {id_} any more")

    def _read_again(self, rows: list[Any]) -> None:
        before = self._items
        self._keep_all(rows)
        ids = set(before) | set(self._items)
        others = {x for x in ids if before.get(x) != self._items.get(x)}
        if others:
            self._log.info(
                "the {what} were read again: {n} of them differ", what=self.PLURAL, n=len(others)
            )
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
