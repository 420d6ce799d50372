"""Doing without a server what it would do: its database, while nobody else has its data folder."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, execute

from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import claimed, database_url
from ntvmedia.cli.rights import rights_of_owner
from ntvmedia.store import Store

_T = TypeVar("_T")

PATIENCE_SECONDS: Final = 15.0
"""A server that starts or stops has its data folder, and does not answer, for a while."""

_PAUSE_SECONDS: Final = 0.05


class StoreAtOnce:
    """A store whose answers are there when it was asked: there is no reactor to wait with.

    Args:
        store: An open one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, work: Callable[[Any], _T], *, read_only: bool = False) -> Deferred[_T]:
        """Do some work in one transaction; see `Store.run`."""
        return execute(self._store.run_now, work, read_only=read_only)

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        """Do some work in one transaction; see `Store.run_now`."""
        return self._store.run_now(work)


def result_of(done: Deferred[_T]) -> _T:
    """Return what a Deferred has already, or raise it."""
    results: list[_T] = []
    failures: list[Any] = []
    done.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


@contextlib.contextmanager
def server_or_its_data(
    options: argparse.Namespace,
    running: Callable[[ControlClient], _T],
    stopped: Callable[[str, Path], _T],
) -> Iterator[_T]:
    """Find the server, or have its data folder for a while.

    Root has the folder with its owner's rights: a database that root made would be of no use to the
    server's user, who starts later.

    Args:
        options: Those of `add_places`.
        running: Called with what asks the server, where one runs.
        stopped: Called with the address of the database and the data folder, where none does.

    Raises:
        Failed: The folder cannot be used, or the server neither runs nor leaves it.
        ConfigError: The database cannot be used.
    """
    client = ControlClient(options.data)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            client.ask("GET", "/mserver/api/v1/status")
        except NotRunning:
            # The settings may be root's.
            url = database_url(options.config)
            with rights_of_owner(options.data), claimed(options.data) as is_free:
                if is_free:
                    yield stopped(url, options.data.absolute())
                    return
            time.sleep(_PAUSE_SECONDS)
        else:
            try:
                yield running(client)
            except NotRunning:
                raise Failed("the server has ended meanwhile: nothing was done") from None
            return
    raise Failed("a server begins or ends, and does not answer: try again")
