"""The pushes that there are: in memory, and in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.relay.keeping import Kept, Rows, Times
from ntvmedia.relay.pushes import FIELDS, Push, check, describe, read_fields, target_url, written
from ntvmedia.relay.refusals import NoPush, TargetTaken, TooManyPushes
from ntvmedia.relay.schemes import Targets
from ntvmedia.store import Database, PushRow, delete_push, insert_push, list_pushes, update_push

MAX_PUSHES: Final = 200
"""Each stream that begins is compared with all of them."""

_SHOWN_CHARACTERS: Final = 40

# Whatever a stream is called, its target's address is none or is one.
_EXAMPLE: Final = StreamKey("x", "x")


class Pushes(Kept[Push]):
    """All pushes by id, the oldest first; see `Kept`.

    Besides what `Kept` says, `add` and `change` fail with `TooManyPushes` or `TargetTaken`.

    Args:
        store: As of `Kept`, as are all that are not named here.
        wall_clock: Seconds since 1970.
        random: Unpredictable bytes.
        changed: Told of changes.
        targets: What can push to where.
        is_own: Says whether an address of a server is this server's.
        reactor: For time.
    """

    WHAT = "push"
    PLURAL = "pushes"
    ROWS = Rows(list_pushes, insert_push, update_push, delete_push)

    def __init__(
        self,
        store: Database,
        wall_clock: Callable[[], float],
        random: Callable[[int], bytes],
        changed: Callable[[set[str]], None],
        targets: Targets,
        is_own: Callable[[str], bool],
        reactor: Any = None,
    ) -> None:
        super().__init__(store, wall_clock, random, changed, reactor)
        self._targets = targets
        self._is_own = is_own

    def find(self, id_: str) -> Push:
        """Return the push of an id that somebody typed.

        Raises:
            NoPush: There is none.
        """
        push = self._items.get(id_)
        if push is None:
            raise NoPush(f"there is no push {id_[:_SHOWN_CHARACTERS]!a}")
        return push

    def _made(self, id_: str, raw: Mapping[str, object]) -> Push:
        return check(Push(id_, **read_fields(raw)))

    def _altered(self, before: Push, raw: Mapping[str, object]) -> Push:
        return check(replace(before, **read_fields(raw)))

    def _admit(self, item: Push, *, is_new: bool) -> None:
        try:
            self._targets.check(target_url(item, _EXAMPLE))
        except RemoteError as error:
            raise WrongField(str(error), "server") from None
        if self._is_own(item.server):
            clause = "is this server: what it sends itself would go round; relays rename streams"
            raise WrongField(clause, "server")
        if is_new and len(self._items) >= MAX_PUSHES:
            raise TooManyPushes(f"there are {MAX_PUSHES:,} pushes already")
        for other in self._items.values():
            if other.id != item.id and _aim(other) == _aim(item):
                raise TargetTaken(f"push {other.id} sends the same streams there already")

    def _described(self, item: Push) -> dict[str, Any]:
        return describe(item)

    def _row(self, id_: str, item: Push, times: Times) -> PushRow:
        return PushRow(id_, **written(item), **times._asdict())

    def _read(self, row: PushRow) -> Push:
        values = asdict(row)
        return check(Push(row.id, **read_fields({name: values[name] for name in FIELDS})))


def _aim(push: Push) -> tuple[object, ...]:
    """Return what is the same in two pushes that do the same (E-ST-09)."""
    scheme, _mark, authority = push.server.partition("://")
    return (
        scheme,
        authority.rpartition("@")[2].lower(),
        push.application,
        frozenset(push.streams),
        push.target_application,
        push.target_stream,
    )
