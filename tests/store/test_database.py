"""Transactions in a thread, answers in the reactor's: the promises of `Store`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import Any, cast

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from ntvmedia.errors import UsageError
from ntvmedia.store import (
    Duplicate,
    Store,
    StoreError,
    database,
    insert_application,
    list_applications,
    update_application,
)
from tests.store.places import BUILT_IN, PATIENCE_SECONDS, Place, add, kept, row

# Tracebacks show lines of this file: not where it is used.
SECRET = "hush"


class Gate:
    """Work that blocks in the store's thread until the test lets it go on."""

    def __init__(self) -> None:
        self._is_in = threading.Event()
        self._may_go = threading.Event()

    def __call__(self, connection: Connection) -> str:
        self._is_in.set()
        assert self._may_go.wait(PATIENCE_SECONDS)
        return "went through"

    def wait(self) -> None:
        """Wait until the work has begun."""
        assert self._is_in.wait(PATIENCE_SECONDS)

    def open(self) -> None:
        """Let it go on."""
        self._may_go.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """One that is open at the latest when the test is over, so that the store can close."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged during the test."""
    found: list[LogEvent] = []
    observer = cast(ILogObserver, found.append)
    globalLogPublisher.addObserver(observer)
    yield found
    globalLogPublisher.removeObserver(observer)


def test_threads(place: Place, store: Store) -> None:
    """Work is done in one thread of the store's, and answered in that of the reactor."""
    workers: list[threading.Thread] = []
    answered: list[threading.Thread] = []

    def work(connection: Connection) -> int:
        workers.append(threading.current_thread())
        return len(list_applications(connection))

    def note(count: int) -> int:
        answered.append(threading.current_thread())
        return count

    for _ in range(3):
        answer = store.run(work)
        answer.addCallback(note)
        assert place.pump.wait(answer) == 4
    here = threading.current_thread()
    assert len(set(workers)) == 1 and workers[0] is not here
    assert answered == [here] * 3
    # It must not keep a process from ending whose disk hangs.
    assert workers[0].daemon


def test_reactor_is_not_blocked(place: Place, store: Store, gate: Gate) -> None:
    """While a transaction takes its time, the reactor turns and timers fire."""
    answer = store.run(gate)
    gate.wait()
    fired: list[float] = []
    for second in range(100):
        place.pump.callLater(second, lambda: fired.append(place.pump.seconds()))
    place.pump.pump([1.0] * 100)
    place.pump.turn()
    assert len(fired) == 100
    assert not answer.called
    gate.open()
    assert place.pump.wait(answer) == "went through"


def test_order(place: Place, store: Store, gate: Gate) -> None:
    """Transactions follow one another in the order in which they were asked for."""
    store.run(gate)
    found: list[int] = []

    def append(number: int, connection: Connection) -> None:
        found.append(number)

    answers = [store.run(partial(append, number)) for number in range(50)]
    gate.open()
    for answer in answers:
        place.pump.wait(answer)
    assert found == list(range(50))


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), UsageError("y"), StoreError("z")])
def test_exceptions_pass(place: Place, store: Store, error: Exception) -> None:
    """What work raises comes out as it is, and undoes what it did; the store goes on."""

    def work(connection: Connection) -> None:
        insert_application(connection, row("undone"))
        raise error

    with pytest.raises(type(error)) as caught:
        place.pump.wait(store.run(work))
    assert caught.value is error
    with pytest.raises(type(error)):
        store.run_now(work)
    assert place.pump.wait(store.run(list_applications)) == store.run_now(list_applications)
    assert kept(store) == BUILT_IN


def test_duplicate_undoes_all(place: Place, store: Store) -> None:
    """A key that is taken undoes the whole transaction, on either database."""

    def work(connection: Connection) -> None:
        insert_application(connection, row("first"))
        insert_application(connection, row("tv"))

    with pytest.raises(Duplicate):
        place.pump.wait(store.run(work))
    assert kept(store) == BUILT_IN


def test_a_refusal_may_be_survived(place: Place, store: Store) -> None:
    """Work that goes on after a refusal keeps what else it did, on either database."""

    def work(connection: Connection) -> None:
        insert_application(connection, row("before"))
        with pytest.raises(Duplicate):
            insert_application(connection, row("tv"))
        with pytest.raises(Duplicate):
            update_application(connection, "vod", row("tv"))
        insert_application(connection, row("after"))

    place.pump.wait(store.run(work))
    assert kept(store) == sorted([*BUILT_IN, "before", "after"])


def test_committed_before_answered(place: Place, store: Store) -> None:
    """When the answer is there, another connection sees the change."""
    place.pump.wait(store.run(lambda connection: insert_application(connection, row("seen"))))
    assert ("seen",) in place.sql("SELECT name FROM applications")


def test_read_only(place: Place, store: Store) -> None:
    """Work that was said to read may not write; the next one may."""

    def work(connection: Connection) -> None:
        insert_application(connection, row("x"))

    for _ in range(2):
        with pytest.raises(StoreError, match=r"^the database is read-only$"):
            place.pump.wait(store.run(work, read_only=True))
        with pytest.raises(StoreError, match=r"^the database is read-only$"):
            store.run_now(work, read_only=True)
    place.pump.wait(store.run(work))
    assert "x" in [row.name for row in store.run_now(list_applications, read_only=True)]


def test_bugs_are_not_hidden(place: Place, store: Store) -> None:
    """SQL that no database understands is a bug of ours, not a trouble of the operator's.

    Its traceback is logged, and so has no values.
    """

    def work(connection: Connection) -> None:
        connection.execute(text("nonsense :password"), {"password": SECRET})

    with pytest.raises(SQLAlchemyError, match="nonsense") as caught:
        place.pump.wait(store.run(work))
    assert SECRET not in "".join(format_exception(caught.value))
    assert place.pump.wait(store.run(list_applications))


def test_troubles_have_no_sql(place: Place, store: Store) -> None:
    """An operator's trouble has neither statement nor values, in its traceback either."""
    bad = row("bad", hls_segment_count=-1, publish_password=SECRET)
    with pytest.raises(StoreError) as caught:
        place.pump.wait(store.run(lambda connection: insert_application(connection, bad)))
    logged = "".join(format_exception(caught.value))
    for secret in (SECRET, "INSERT INTO", "hls_segment_count"):
        assert secret not in logged


def test_missing_tables(place: Place, store: Store) -> None:
    """A database that lost its tables, or is another one by now, is told as that."""
    place.sql("DROP TABLE applications")
    with pytest.raises(StoreError, match=r"^the database has not the tables of this program$"):
        place.pump.wait(store.run(list_applications))


def test_queue_is_bounded(
    place: Place, store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its limit the queue refuses at once; when there is room again, it takes more."""
    monkeypatch.setattr(database, "MAX_WAITING", 3)
    answers: list[Deferred[Any]] = [store.run(gate)]
    answers += [store.run(list_applications) for _ in range(2)]
    refused = store.run(list_applications)
    assert refused.called
    with pytest.raises(StoreError, match=r"^3 changes are waiting for the database already$"):
        place.pump.wait(refused)
    gate.open()
    for answer in answers:
        place.pump.wait(answer)
    assert place.pump.wait(store.run(list_applications))


def test_waiting_is_bounded(
    place: Place, store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has waited too long is not begun any more: nobody expects it by then."""
    monkeypatch.setattr(database, "QUEUE_SECONDS", 0.0)
    answer = store.run(lambda connection: insert_application(connection, row("late")))
    with pytest.raises(StoreError, match="took too long with earlier changes"):
        place.pump.wait(answer)
    assert kept(store) == BUILT_IN


def test_cancel(place: Place, store: Store, gate: Gate) -> None:
    """Cancelled work is not begun; what has begun goes on, and its answer is dropped."""
    running = store.run(gate)
    gate.wait()
    waiting = store.run(lambda connection: insert_application(connection, row("never")))
    last = store.run(list_applications)
    cancelled: list[Deferred[Any]] = [running, waiting]
    for answer in cancelled:
        answer.cancel()
        with pytest.raises(CancelledError):
            place.pump.wait(answer)
    gate.open()
    assert len(place.pump.wait(last)) == 4


def test_not_opened(place: Place) -> None:
    """A store that was not opened is a bug of the caller."""
    store = place.unopened()
    with pytest.raises(UsageError):
        store.run(list_applications)
    with pytest.raises(UsageError):
        store.run_now(list_applications)
    place.pump.wait(store.close())


def test_nothing_is_open_after_open(place: Place) -> None:
    """Twistd forks after it made the server: neither a connection nor a thread may be there."""

    def open_files() -> list[str]:
        # pytest's own come and go.
        targets = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
        return [name for name in targets if "ntvmedia.db" in name or "socket" in name]

    threads, files = threading.active_count(), open_files()
    store = place.store()
    assert kept(store) == BUILT_IN
    assert threading.active_count() == threads
    assert open_files() == files


def test_close(place: Place, store: Store, gate: Gate) -> None:
    """Closing waits for what was asked for; from then on nothing is taken. It may be repeated."""
    running = store.run(gate)
    waiting = store.run(lambda connection: insert_application(connection, row("kept")))
    first, second = store.close(), store.close()
    with pytest.raises(StoreError, match=r"^the database is closed$"):
        place.pump.wait(store.run(list_applications))
    assert not first.called and not second.called
    gate.open()
    for closing in (first, second, store.close()):
        place.pump.wait(closing)
    assert running.called and waiting.called
    assert ("kept",) in place.sql("SELECT name FROM applications")
    assert place.pump.getDelayedCalls() == []


def test_close_is_bounded(place: Place, store: Store, gate: Gate, events: list[LogEvent]) -> None:
    """A transaction that does not end is left behind after a time; the others are not begun."""
    running = store.run(gate)
    waiting = store.run(lambda connection: insert_application(connection, row("never")))
    closed: list[None] = []
    store.close().addCallback(closed.append)
    gate.wait()
    place.pump.advance(database.CLOSE_SECONDS - 0.01)
    assert closed == []
    place.pump.advance(0.02)
    assert closed == [None]
    assert [event["log_level"].name for event in events] == ["warn"]
    gate.open()
    assert place.pump.wait(running) == "went through"
    with pytest.raises(StoreError):
        place.pump.wait(waiting)
    # Its thread ends then, too: `Place.close` looks.
    place.pump.turn_until(lambda: not any("store" in t.name for t in threading.enumerate()))
    assert ("never",) not in place.sql("SELECT name FROM applications")


def test_cancelled_close(place: Place, store: Store, gate: Gate) -> None:
    """Who gives up waiting for the end does not disturb who still waits."""
    store.run(gate)
    first, second = store.close(), store.close()
    first.cancel()
    with pytest.raises(CancelledError):
        place.pump.wait(first)
    gate.open()
    place.pump.wait(second)
    assert place.pump.getDelayedCalls() == []


SLOW: dict[str, str] = {
    "sqlite": (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT count(*) FROM n WHERE i < 0"
    ),
    "postgresql": "SELECT pg_sleep(600)",
}


def test_work_is_bounded(place: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that does not come back is ended; the next transaction is not disturbed."""
    monkeypatch.setattr(database, "WORK_SECONDS", 0.3)
    slow = SLOW["postgresql" if place.server else "sqlite"]

    def work(connection: Connection) -> None:
        insert_application(connection, row("undone"))
        connection.exec_driver_sql(slow)

    for run in (lambda: place.pump.wait(store.run(work)), lambda: store.run_now(work)):
        call: Callable[[], None] = run
        with pytest.raises(StoreError, match=r"took too long|connection to the database is lost"):
            call()
    monkeypatch.undo()
    assert len(place.pump.wait(store.run(list_applications))) == 4
    add(store, "works-again")
