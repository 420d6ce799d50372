"""What tables have in common: keys that are taken, and lists of texts, which are JSON there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.exc import IntegrityError

from ntvmedia.store.problems import Duplicate, StoreError, is_duplicate


@contextmanager
def unless_taken(connection: Connection, clause: str) -> Iterator[None]:
    """Have a key that is taken told so, by a `with` statement around what writes the row.

    Args:
        connection: In a transaction, which may go on without the row.
        clause: What the key is taken by.

    Raises:
        Duplicate: It is taken.
    """
    try:
        # A savepoint: PostgreSQL would take back the whole transaction, and say so to nobody.
        with connection.begin_nested():
            yield
    except IntegrityError as error:
        if is_duplicate(error):
            raise Duplicate(clause) from None
        raise


def all_rows(connection: Connection, table: Table, called: str) -> Sequence[RowMapping]:
    """Return all rows of a table that has lists, in no order.

    Args:
        connection: In a transaction.
        table: Which.
        called: How an error calls it: "the table of applications".

    Raises:
        StoreError: Somebody else wrote into it what is no JSON.
    """
    try:
        return connection.execute(select(table)).mappings().all()
    except ValueError:
        # SQLAlchemy reads the JSON while it fetches the rows.
        raise StoreError(f"a list in {called} is broken") from None


def with_tuples(row: Mapping[Any, Any], lists: tuple[str, ...], where: str) -> dict[str, Any]:
    """Return the values of a row that was read, its lists as tuples.

    Args:
        row: By column.
        lists: The columns that are lists of texts.
        where: Where they are, for an error: 'of application "tv"'.

    Raises:
        StoreError: Somebody else wrote into one of them what is no list of texts.
    """
    values = dict(row)
    for name in lists:
        texts = values[name]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise StoreError(f'"{name}" {where} is no list of texts')
        values[name] = tuple(texts)
    return values


def with_lists(row: Any, lists: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of a row to be written, a dataclass whose `lists` are tuples."""
    return {**asdict(row), **{name: list(getattr(row, name)) for name in lists}}
