"""The labels that operators gave: in memory to be shown, in the database for good."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.labels.texts import TooManyLabels, WrongLabel, read_label
from ntvmedia.media import StreamKey
from ntvmedia.store import (
    Changes,
    Database,
    LabelRow,
    Note,
    delete_stream_label,
    list_stream_labels,
    set_stream_label,
    take_note,
)

MAX_LABELS: Final = 100_000
"""All are in memory: some 30 MB."""


class Labels:
    """The labels, by stream; a stream need not be there to have one. In the reactor thread only.

    They change as `ntvmedia.store.Changes` says.

    Args:
        store: The database.
        events: Tells of applications.
        reactor: As for `Changes`.
    """

    _log = Logger()

    def __init__(self, store: Database, events: EventBus, reactor: Any = None) -> None:
        self._labels: dict[StreamKey, str] = {}
        self._changes = Changes(
            "labels", store, list_stream_labels, self._keep, reactor, at_once=False
        )
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
        self._keep(self._changes.load())

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
        try:
            label = read_label(text)
        except WrongLabel:
            return fail()
        return self._changes.in_turn(partial(self._give, key, label, note))

    async def _give(self, key: StreamKey, label: str, note: Note | None) -> str:
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

        await self._changes.commit(save, f"the label of {key}")
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

    def _keep(self, rows: list[LabelRow]) -> None:
        self._labels = {StreamKey(row.application, row.stream): row.label for row in rows}
