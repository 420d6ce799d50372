"""The callbacks that there are: in memory for every event, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.access.refusals import WrongField
from ntvmedia.callbacks.callback import FIELDS, Callback, check, describe, read_fields
from ntvmedia.callbacks.refusals import NoCallback, TooManyCallbacks
from ntvmedia.errors import ConfigError
from ntvmedia.store import (
    CallbackRow,
    Changes,
    Database,
    Note,
    StoreError,
    delete_callback,
    insert_callback,
    list_callbacks,
    take_note,
    update_callback,
)

MAX_CALLBACKS: Final = 100
"""Each event is looked at for all of them."""

# Nobody guesses an id, and it fits into an address.
_ID_BYTES: Final = 8
_SHOWN_CHARACTERS: Final = 40


class Times(NamedTuple):
    """When a callback was made and last changed, in seconds since 1970."""

    created_at: float
    updated_at: float


class CallbackRegistry(Mapping[str, Callback]):
    """All callbacks by id, the oldest first. Empty before `load`.

    They change as `ntvmedia.store.Changes` says.

    Args:
        store: The database.
        wall_clock: Returns the seconds since 1970.
        random: Returns that many unpredictable bytes.
        changed: Called after each change, without arguments.
        reactor: As for `Changes`.
    """

    _log = Logger()

    def __init__(
        self,
        store: Database,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
        changed: Callable[[], None],
        reactor: Any = None,
    ) -> None:
        self._wall_clock = wall_clock
        self._random = random
        self._changed = changed
        self._callbacks: dict[str, Callback] = {}
        self._times: dict[str, Times] = {}
        self._changes = Changes("callbacks", store, list_callbacks, self._read_again, reactor)

    def __getitem__(self, id_: str) -> Callback:
        return self._callbacks[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._callbacks)

    def __len__(self) -> int:
        return len(self._callbacks)

    def find(self, id_: str) -> Callback:
        """Return the callback of an id that somebody typed.

        Raises:
            NoCallback: There is none.
        """
        callback = self._callbacks.get(id_)
        if callback is None:
            raise NoCallback(f"there is no callback {id_[:_SHOWN_CHARACTERS]!a}")
        return callback

    def times(self, id_: str) -> Times:
        """Return when a callback was made and changed.

        Raises:
            KeyError: There is none with this id.
        """
        return self._times[id_]

    def load(self) -> None:
        """Read all from the database, instead of what is here; blocking, at the start.

        One that this program does not understand is left out, unless it decides.

        Raises:
            ConfigError: The database cannot be read, or it has a callback that decides and is not
                understood: the start is not the time to let everybody in (F-AC-10).
        """
        rows = self._changes.load()
        self._keep_all(rows)
        for row in rows:
            if row.decides and row.enabled and row.id not in self._callbacks:
                raise ConfigError(f"callback {row.id} is not understood", ("database",))

    def add(self, fields: Mapping[str, object], note: Note | None = None) -> Deferred[Callback]:
        """Make a callback.

        Args:
            fields: Values for some or all fields, as for `read_fields`; "name", "url" and "events"
                among them.
            note: Written with the change.

        Returns:
            Fires with it when it is in the database and here. Fails with `WrongField` or
            `TooManyCallbacks`: nothing has changed then; or with `StoreError`: nothing has changed
            here, until it is known what the database has. Cancelling it leaves the change alone.
        """
        return self._changes.in_turn(partial(self._add, dict(fields), note))

    def change(
        self, id_: str, fields: Mapping[str, object], note: Note | None = None
    ) -> Deferred[Callback]:
        """Give a callback other values.

        Returns:
            As for `add`; also fails with `NoCallback`.
        """
        return self._changes.in_turn(partial(self._change, id_, dict(fields), note))

    def remove(self, id_: str, note: Note | None = None) -> Deferred[None]:
        """Delete a callback, and what it was still to be told.

        Returns:
            Fires when it is gone. Fails with `NoCallback` or `StoreError`.
        """
        return self._changes.in_turn(partial(self._remove, id_, note))

    async def _add(self, raw: dict[str, object], note: Note | None) -> Callback:
        id_ = self._random(_ID_BYTES).hex()
        callback = check(Callback(id_, **read_fields(raw)))
        if len(self._callbacks) >= MAX_CALLBACKS:
            raise TooManyCallbacks(f"there are {MAX_CALLBACKS} callbacks already")
        now = self._wall_clock()
        row = _row_of(callback, Times(now, now))

        def work(connection: Any) -> None:
            insert_callback(connection, row)
            take_note(note, connection, None, describe(callback))

        await self._changes.commit(work, f"callback {callback.name}")
        self._keep(row, callback)
        self._log.info("callback {name} was added", name=callback.name)
        self._changed()
        return callback

    async def _change(self, id_: str, raw: dict[str, object], note: Note | None) -> Callback:
        before = self.find(id_)
        callback = check(replace(before, **read_fields(raw)))
        if callback == before:
            return before
        times = self._times[id_]
        # The clock may have been set back; no change is older than the callback.
        row = _row_of(callback, Times(times[0], max(times[0], self._wall_clock())))

        def work(connection: Any) -> None:
            if not update_callback(connection, row):
                raise _gone(id_)
            take_note(note, connection, describe(before), describe(callback))

        await self._changes.commit(work, f"callback {before.name}")
        self._keep(row, callback)
        changed = [what for what in FIELDS if getattr(callback, what) != getattr(before, what)]
        # What a secret was changed to is nobody's business; that it was, is.
        self._log.info("callback {name} was changed: {changed}", name=before.name, changed=changed)
        self._changed()
        return callback

    async def _remove(self, id_: str, note: Note | None) -> None:
        callback = self.find(id_)

        def work(connection: Any) -> None:
            if not delete_callback(connection, id_):
                raise _gone(id_)
            take_note(note, connection, describe(callback), None)

        await self._changes.commit(work, f"callback {callback.name}")
        del self._callbacks[id_], self._times[id_]
        self._log.info("callback {name} was deleted", name=callback.name)
        self._changed()

    def _read_again(self, rows: list[CallbackRow]) -> None:
        before = self._callbacks
        self._keep_all(rows)
        if self._callbacks != before:
            self._log.info("the callbacks were read again: there are {n}", n=len(self._callbacks))
            self._changed()

    def _keep_all(self, rows: list[CallbackRow]) -> None:
        self._callbacks, self._times = {}, {}
        for row in rows:
            try:
                callback = _callback_of(row)
            except WrongField as error:
                self._log.error(
                    "callback {name} is not called: {error}", name=ascii(row.name), error=error
                )
            else:
                self._keep(row, callback)

    def _keep(self, row: CallbackRow, callback: Callback) -> None:
        self._callbacks[callback.id] = callback
        self._times[callback.id] = Times(row.created_at, row.updated_at)


def _callback_of(row: CallbackRow) -> Callback:
    values = asdict(row)
    return check(Callback(row.id, **read_fields({name: values[name] for name in FIELDS})))


def _row_of(callback: Callback, times: Times) -> CallbackRow:
    return CallbackRow(**asdict(callback), **times._asdict())


def _gone(id_: str) -> StoreError:
    return StoreError(f"the database has no callback {id_} any more")
