"""What changed of relay tasks and pushes, for whoever listens to live updates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, TypeAlias

Update: TypeAlias = tuple[str, dict[str, Any]]
"""The type of an event, and its data."""

# What counts up all the time is no change.
_TOLD: Final = ("state", "reason", "is_permanent", "next_retry_at", "since", "restarts")


class TaskUpdates:
    """Compares how all tasks are with how they were.

    Tasks fail and come back many times a second where a source misbehaves: whoever asks once a
    second gets at most one event of each, with what holds then.

    Args:
        host: The server.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        # By kind and id; None before the first question.
        self._known: dict[tuple[str, str], Hashable] | None = None

    def changes(self) -> list[Update]:
        """Return what is another since the last call; the first finds nothing."""
        found = {**self._relays(), **self._pushes()}
        known, self._known = self._known, {task: mark for task, (mark, _data) in found.items()}
        if known is None:
            return []
        changes: list[Update] = [
            (kind, {"what": "deleted", "id": id_})
            for kind, id_ in known
            if (kind, id_) not in found
        ]
        for (kind, id_), (mark, data) in found.items():
            if known.get((kind, id_)) != mark:
                changes.append((kind, {"what": "changed", "id": id_, **data}))
        return changes

    def _relays(self) -> dict[tuple[str, str], tuple[Hashable, dict[str, Any]]]:
        relays = self._host.relays
        found: dict[tuple[str, str], tuple[Hashable, dict[str, Any]]] = {}
        for id_ in relays.registry:
            state = relays.state(id_)
            data = {**_told(state), "source": state.source, "instances": len(state.instances)}
            updated_at = relays.registry.times(id_).updated_at
            mark = (updated_at, *data.values(), *_marks(state.instances))
            found["relay", id_] = mark, data
        return found

    def _pushes(self) -> dict[tuple[str, str], tuple[Hashable, dict[str, Any]]]:
        pushes = self._host.pushes
        found: dict[tuple[str, str], tuple[Hashable, dict[str, Any]]] = {}
        for id_ in pushes.registry:
            states = pushes.states(id_)
            data = {**_told(pushes.state(id_)), "sending": len(states)}
            updated_at = pushes.registry.times(id_).updated_at
            found["push", id_] = (updated_at, *data.values(), *_marks(states)), data
        return found


def _told(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in _TOLD}


def _marks(states: Mapping[Any, Any]) -> list[Hashable]:
    return [(name, x.state, x.reason, x.next_retry_at) for name, x in states.items()]
