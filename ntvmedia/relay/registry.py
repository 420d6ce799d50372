"""The relay tasks that there are: in memory, and in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from ntvmedia.relay.checks import check
from ntvmedia.relay.keeping import Kept, Rows, Times
from ntvmedia.relay.refusals import NoRelay, TargetTaken, TooManyRelays
from ntvmedia.relay.rounds import check_rounds
from ntvmedia.relay.sources import Sources
from ntvmedia.relay.task import FIELDS, Relay, describe, places, read_fields, written
from ntvmedia.store import Database, RelayRow, delete_relay, insert_relay, list_relays, update_relay

_SHOWN_CHARACTERS: Final = 40


class Relays(Kept[Relay]):
    """All relay tasks by id, the oldest first; see `Kept`.

    Besides what `Kept` says, `add` and `change` fail with `TooManyRelays` or `TargetTaken`.

    Args:
        store: As of `Kept`, as are all that are not named here.
        wall_clock: Seconds since 1970.
        random: Unpredictable bytes.
        changed: Told of changes.
        sources: What can pull from where.
        most: The most tasks that there may be.
        reactor: For time.
    """

    WHAT = "relay"
    PLURAL = "relays"
    ROWS = Rows(list_relays, insert_relay, update_relay, delete_relay)

    def __init__(
        self,
        store: Database,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
        changed: Callable[[set[str]], None],
        sources: Sources,
        most: int,
        reactor: Any = None,
    ) -> None:
        super().__init__(store, wall_clock, random, changed, reactor)
        self._sources = sources
        self._most = most

    def find(self, id_: str) -> Relay:
        """Return the task of an id that somebody typed.

        Raises:
            NoRelay: There is none.
        """
        relay = self._items.get(id_)
        if relay is None:
            raise NoRelay(f"there is no relay {id_[:_SHOWN_CHARACTERS]!a}")
        return relay

    def _made(self, id_: str, raw: Mapping[str, object]) -> Relay:
        return check(Relay(id_, **read_fields(raw)))

    def _altered(self, before: Relay, raw: Mapping[str, object]) -> Relay:
        return check(replace(before, **read_fields(raw, before)))

    def _admit(self, item: Relay, *, is_new: bool) -> None:
        self._sources.check_relay(item)
        if is_new and len(self._items) >= self._most:
            message = f"there are {self._most:,} relays already, as relay.max_relays allows"
            raise TooManyRelays(message)
        others = [relay for relay in self._items.values() if relay.id != item.id]
        wanted = set(places(item))
        for other in others:
            for place in places(other):
                if place in wanted:
                    name = f"{place.application}/{place.stream}"
                    raise TargetTaken(f"relay {other.id} makes {name} already")
        check_rounds(item, others)

    def _described(self, item: Relay) -> dict[str, Any]:
        return describe(item)

    def _row(self, id_: str, item: Relay, times: Times) -> RelayRow:
        fields = written(item)
        for name in ("fallbacks", "renditions"):
            fields[name] = tuple(fields[name])
        return RelayRow(id_, **fields, **times._asdict())

    def _read(self, row: RelayRow) -> Relay:
        values = asdict(row)
        return check(Relay(row.id, **read_fields({name: values[name] for name in FIELDS})))
