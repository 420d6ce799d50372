"""The labels that operators gave: in memory to be shown, in the database for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.errors import ConfigError
from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.labels.texts import TooManyLabels, read_label
from ntvmedia.media import StreamKey
from ntvmedia.store import (
    LabelRow,
    StoreError,
    delete_stream_label,
    list_stream_labels,
    set_stream_label,
)
from ntvmedia.store.notes import Note, take_note

_T = TypeVar("_T")

MAX_LABELS: Final = 100_000
"""All are in memory: some 30 MB."""

RETRY_SECONDS: Final = 5.0
"""From a read that failed to the next; as for applications."""


class Database(Protocol):
    """What is needed of an `ntvmedia.store.Store`."""

    def run(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        """Do some work in one transaction."""

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do the same, and wait for it."""


class Labels:
    """The labels, by stream; a stream need not be there to have one. In the reactor thread only.

    Changes are made one after the other, in the database first. A write that fails may have been
    committed all the same: what is here is then in doubt, and is read again, before the next
    change and in the background.

    Args:
        store: The database.
        events: Tells of applications.
        reactor: Has what is in doubt read again; without, it is not before the next change.
    """

    _log = Logger()

    def __init__(self, store: Database, events: EventBus, reactor: Any = None) -> None:
        self._store = store
        self._reactor = reactor
        self._labels: dict[StreamKey, str] = {}
        self._turns = DeferredLock()
        self._is_in_doubt = False
        self._is_checking = False
        events.subscribe(ApplicationChanged, self._application_changed)

    def __len__(self) -> int:
        return len(self._labels)

    def of(self, key: StreamKey) -> str:
        """Return the label of a stream; empty where it was given none."""
        return self._labels.get(key, "")

    def load(self) -> None:
        """Read all from the database; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read. What is here stays.
        """
        try:
            self._keep(self._store.run_now(list_stream_labels))
        except StoreError as error:
            raise ConfigError(str(error), ("database",)) from None

    def give(self, key: StreamKey, text: str, note: Note | None = None) -> Deferred[str]:
        """Give a stream a label, or take it away.

        Args:
            key: The stream's checked name.
            text: What somebody typed; empty to take away.
            note: Called in the same transaction with `{"label": ...}` before and after.

        Returns:
            Fires with the label when it is in the database and here. Fails with `WrongLabel` or
            `TooManyLabels`: nothing has changed then; or with `StoreError`: nothing has changed
            here, until it is known what the database has. Cancelling it leaves the change alone.
        """
        # What the caller is given is not the change itself: a client that hangs up cancels the
        # one, and must not leave the other half done.
        answer: Deferred[str] = Deferred()
        self._turns.run(self._give, key, text, note).chainDeferred(answer)
        return answer

    async def _give(self, key: StreamKey, text: str, note: Note | None) -> str:
        label = read_label(text)
        await self._settle()
        before = self.of(key)
        if label == before:
            return label
        if not before and len(self._labels) >= MAX_LABELS:
            raise TooManyLabels(f"there are {MAX_LABELS:,} labels already")

        def save(connection: Any) -> None:
            if label:
                set_stream_label(connection, LabelRow(*key, label))
            else:
                delete_stream_label(connection, *key)
            take_note(note, connection, {"label": before}, {"label": label})

        try:
            await self._store.run(save)
        except StoreError as error:
            self._log.error("the label of {key} is not saved: {error}", key=key, error=error)
            self._doubt()
            raise
        except Exception:
            # A bug says as little about the commit; it is told once, and not met again unasked.
            self._is_in_doubt = True
            raise
        if label:
            self._labels[key] = label
        else:
            # Its application may be gone by now, and it with that.
            self._labels.pop(key, None)
        self._log.info("{key} was given the label {label}", key=key, label=label)
        return label

    def _application_changed(self, event: ApplicationChanged) -> None:
        """Follow an application to its new name, as its rows did in the transaction of that."""
        name, after = event.name, event.after
        if name == after:
            return
        found = [key for key in self._labels if key.application == name]
        moved = {key: self._labels.pop(key) for key in found}
        if after is not None:
            for key, label in moved.items():
                self._labels[StreamKey(after, key.stream)] = label

    def _doubt(self) -> None:
        self._is_in_doubt = True
        if not self._is_checking and self._reactor is not None:
            self._is_checking = True
            self._reactor.callLater(RETRY_SECONDS, self._check)

    def _check(self) -> None:
        """Settle a doubt in the background, after the changes that wait already."""
        self._turns.run(self._settle).addCallbacks(self._checked, self._not_checked)

    def _checked(self, _result: None) -> None:
        self._is_checking = False

    def _not_checked(self, failure: Failure) -> None:
        if failure.check(StoreError):
            self._reactor.callLater(RETRY_SECONDS, self._check)
            return
        self._is_checking = False
        self._log.failure("the labels cannot be read", failure)

    async def _settle(self) -> None:
        """Have here what the database has, where that is in doubt.

        Raises:
            StoreError: It cannot be read. What is here stays, and stays in doubt.
        """
        if self._is_in_doubt:
            rows = await self._store.run(list_stream_labels)
            self._is_in_doubt = False
            self._keep(rows)

    def _keep(self, rows: list[LabelRow]) -> None:
        self._labels = {StreamKey(row.application, row.stream): row.label for row in rows}
