"""No committed change is lost, however the process ends."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from ntvmedia.store import (
    Store,
    delete_application,
    insert_application,
    list_applications,
    update_application,
)
from tests.e2e.postgres import PostgreSQLServer
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import ROOT
from tests.store.places import BUILT_IN, row

ROUNDS = 12
LONG_ROUNDS = 200


def changes(seed: int) -> Iterator[tuple[str, str]]:
    """Yield changes without an end, the same for each seed: ("add" or "delete", name).

    ("rename", "OLD NEW") also gives the application another password.
    """
    choose = random.Random(seed)
    there: list[str] = []
    for number in range(sys.maxsize):
        name = f"n{seed}-{number}"
        kind = choose.choice(["add", "rename", "delete"]) if there else "add"
        if kind == "add":
            there.append(name)
            yield kind, name
        else:
            old = there.pop(choose.randrange(len(there)))
            if kind == "rename":
                there.append(name)
            yield kind, old if kind == "delete" else f"{old} {name}"


def names_after(before: set[str], seed: int, count: int) -> set[str]:
    """Return the names that there are after so many changes."""
    names = set(before)
    for (kind, name), _number in zip(changes(seed), range(count), strict=False):
        old, _space, new = name.partition(" ")
        if kind == "add":
            names.add(name)
        elif kind == "delete":
            names.remove(name)
        else:
            names = (names - {old}) | {new}
    return names


def make(kind: str, name: str, connection: Connection) -> bool:
    """Do one of `changes`; a password longer than a page makes it several writes to the disk."""
    old, _space, new = name.partition(" ")
    if kind == "delete":
        return delete_application(connection, old)
    changed = row(new or old, publish_password=(new or old) * 500)
    if kind == "rename":
        return update_application(connection, old, changed)
    insert_application(connection, changed)
    return True


def write(url: str, data: str, seed: str) -> None:
    """Be the child: change the database on and on, and print a line for each change kept."""
    from twisted.internet import reactor

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    tell("begin")
    store = Store(reactor, url, Path(data))
    store.open()

    async def work() -> None:
        tell("open")
        for kind, name in changes(int(seed)):
            assert await store.run(partial(make, kind, name))
            tell(f"{kind} {name}")

    Deferred.fromCoroutine(work()).addErrback(lambda failure: failure.printTraceback())
    reactor.run()


def kill_again_and_again(folder: Path, rounds: int, server: PostgreSQLServer | None = None) -> None:
    """Kill a child at random moments, and compare what there is with what it printed.

    The databases of all rounds are one: each child begins with what the last one left behind.
    """
    seed = random.randrange(1 << 30)
    choose = random.Random(seed)
    url = server.new_database() if server else ""
    data = folder / "data"
    before = set(BUILT_IN)
    for number in range(rounds):
        words = [sys.executable, "-m", "tests.e2e.test_database", url, str(data), str(number)]
        with Program(words, folder, "writer", cwd=ROOT) as child:
            # At first while the tables are made, later among the changes.
            line, seconds = (b"begin", 0.1) if number < ROUNDS // 4 else (b"open", 0.4)
            wait_until(partial(has_said, child, line), f"the writer said {line!r}")
            time.sleep(choose.uniform(0, seconds))
            assert child.stop(signal.SIGKILL) == -signal.SIGKILL, child.tail()
        assert not child.errors, child.errors
        if server:
            # What the server has of its last change, it may still be doing.
            wait_until(partial(is_idle, server), "PostgreSQL has seen the writer's end")
        store = Store(None, url, data)
        store.open()
        rows = store.run_now(list_applications)
        found = {row.name for row in rows}
        count = max(child.output.count(b"\n") - 2, 0)
        # The last change may have been kept, and not printed any more.
        possible = [names_after(before, number, count + more) for more in (0, 1)]
        assert found in possible, (seed, number, count, found ^ possible[0])
        # And each is whole.
        changed = [row for row in rows if row.name not in BUILT_IN]
        assert all(row.publish_password == row.name * 500 for row in changed)
        before = found
    # Else the children were too slow to be killed among changes.
    assert before != set(BUILT_IN)


def has_said(child: Program, line: bytes) -> bool:
    """Return whether a child printed a line; fail when it ended."""
    assert child.is_running, child.tail()
    return line in child.output


def is_idle(server: PostgreSQLServer) -> bool:
    """Return whether no store is connected."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ntvmedia'"
    return server.psql(query) == "0"


@pytest.fixture
def rounds(long_dose: bool) -> int:
    """How often a child is killed."""
    return LONG_ROUNDS if long_dose else ROUNDS


def test_killed_with_sqlite(tmp_path: Path, rounds: int) -> None:
    """G-LC-02: after kill -9 at any moment, all that was told as kept is there, and no more."""
    kill_again_and_again(tmp_path, rounds)


def test_killed_with_postgresql(tmp_path: Path, rounds: int) -> None:
    """The same with PostgreSQL, which keeps or undoes what a lost client has begun."""
    with PostgreSQLServer() as server:
        kill_again_and_again(tmp_path, rounds // 2, server)


if __name__ == "__main__":
    write(*sys.argv[1:])
