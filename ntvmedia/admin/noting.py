"""Writing down what was done to something that is in no database: who was sent away, for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.logger import Logger

from ntvmedia.access import StoreError
from ntvmedia.admin.operations import Call

_log: Final = Logger()


async def note_action(
    host: Any,
    call: Call,
    action: str,
    subject: str,
    before: Mapping[str, object],
    after: Mapping[str, object] | None,
) -> None:
    """Put what was done into the audit log.

    It was done: while the database fails, that is told in the server's log instead.

    Args:
        host: The server.
        call: The request that asked for it.
        action: As for `Call.note`, and so is `subject`.
        before: What is said of it as it was.
        after: And as it is.
    """
    note = call.note(action, subject)
    try:
        await host.store.run(lambda connection: note(connection, before, after))
    except StoreError as error:
        _log.error(
            "{name} did {action} to {subject}, which the audit log does not have: {error}",
            name=call.identity.name,
            action=action,
            subject=subject,
            error=error,
        )
