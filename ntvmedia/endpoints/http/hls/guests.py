"""The sessions that there are: found by name, bounded, and forgotten where there is no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, ValuesView
from itertools import islice
from typing import Final

from ntvmedia.endpoints.http.hls.sessions import Session
from ntvmedia.hub.refusals import HubFull

MAX_SESSIONS: Final = 100_000
MAX_SESSIONS_OF_HOST: Final = 10_000
"""Of all, and of one address, behind which many may be. A session is 1 to 6 kilobytes: what the
client said of itself is cut short, its query is not."""

# How many sessions that wait for their first list are passed over to make room.
_MOST_PASSED: Final = 100


class Guests(Mapping[str, Session]):
    """Sessions by name."""

    def __init__(self) -> None:
        self._all: dict[str, Session] = {}
        self._of_hosts: dict[str, dict[str, Session]] = {}
        # Those that do not watch: of all, and of each address; the oldest first.
        self._unused: dict[str, Session] = {}
        self._unused_of_hosts: dict[str, dict[str, Session]] = {}

    def __getitem__(self, name: str) -> Session:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def values(self) -> ValuesView[Session]:
        """All of them; the dictionary's own, since they are looked after every second."""
        return self._all.values()

    def add(self, session: Session) -> None:
        """Take one that does not watch yet.

        Raises:
            HubFull: There are too many, and all of them watch.
        """
        host = session.host
        if len(self._of_hosts.get(host, {})) >= MAX_SESSIONS_OF_HOST and not self._make_room(
            self._unused_of_hosts.get(host, {})
        ):
            raise HubFull("too many sessions from this address")
        if len(self._all) >= MAX_SESSIONS and not self._make_room(self._unused):
            raise HubFull("too many sessions")
        self._all[session.name] = session
        self._of_hosts.setdefault(host, {})[session.name] = session
        self.set_unused(session)

    def set_unused(self, session: Session) -> None:
        """Note that one does not watch: it makes room where there is none."""
        if session.name in self._all:
            self._unused[session.name] = session
            self._unused_of_hosts.setdefault(session.host, {})[session.name] = session

    def set_used(self, session: Session) -> None:
        """Note that it does, or is gone. Idempotent."""
        self._unused.pop(session.name, None)
        _drop(self._unused_of_hosts, session)

    def forget(self, session: Session) -> None:
        """Let go of one that is here."""
        self.set_used(session)
        del self._all[session.name]
        _drop(self._of_hosts, session)

    def _make_room(self, unused: Mapping[str, Session]) -> bool:
        """Forget the oldest of those that do not watch; False where all near it wait to begin."""
        for session in islice(unused.values(), _MOST_PASSED):
            if not session.held:
                self.forget(session)
                return True
        return False


def _drop(hosts: dict[str, dict[str, Session]], session: Session) -> None:
    """Take a session away from those of its address, and the address where there are none."""
    found = hosts.get(session.host)
    if found is not None:
        found.pop(session.name, None)
        if not found:
            del hosts[session.host]
