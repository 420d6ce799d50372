"""What is noted with a change, in the same transaction: the audit log.

A registry does not know who asked for a change. Who does hands it a `Note`, and the registry calls
that where it writes: the change and its line in the log are kept together, or neither is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

Note = Callable[[Connection, Mapping[str, object] | None, Mapping[str, object] | None], None]
"""Called in the store's thread, within the transaction of the change, after its own statements.

Its arguments are the connection, and what may be shown of the thing before and after: secrets
masked, values as JSON has them; None where there was, or is, nothing. What it raises undoes the
change.
"""


def take_note(
    note: Note | None,
    connection: Connection,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    """Call a note, where there is one."""
    if note is not None:
        note(connection, before, after)
