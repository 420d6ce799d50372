"""The API's view of the log: its last lines."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.admin.tail import MAX_LINES, LogTail

_LEVELS: Final = ("debug", "info", "warn", "error", "critical")


class LogQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which lines."""

    level: Annotated[
        Literal["debug", "info", "warn", "error", "critical"],
        Meta(description="The least important one that is wanted."),
    ] = "debug"
    after: Annotated[
        int,
        Meta(
            ge=0,
            description="Only lines with a greater number; one of an earlier run of the server "
            "counts as 0.",
        ),
    ] = 0
    limit: Annotated[
        int,
        Meta(ge=1, le=MAX_LINES, description="The last so many; with `after`, the first."),
    ] = 200
    q: Annotated[str, Meta(max_length=256, description="Only lines with this text.")] = ""


class LogLine(Struct, kw_only=True):
    """One line of the log."""

    number: Annotated[int, Meta(ge=1, description="Counts up since the start of the server.")]
    time: Annotated[str, Meta(description="ISO 8601, UTC.")]
    level: str
    system: Annotated[str, Meta(description="Which part of the program.")]
    message: str


class LogLines(Struct, kw_only=True):
    """The last lines of the log, the oldest first."""

    lines: list[LogLine]


class LogOperations(Operations):
    """The log."""

    tag = "log"

    @operation("GET", "/log", role=Role.OPERATOR, query=LogQuery, answers=LogLines)
    def log(self, call: Call) -> LogLines:
        """Show the last lines of the log.

        Since the start of the server, at most 2,000, of the level that the settings name and
        above. To follow it, ask again with `after`, the number of the last line that came, and at
        once where there were as many as `limit`.
        """
        query: LogQuery = call.query
        levels = _LEVELS[_LEVELS.index(query.level) :]
        wanted = query.q.casefold()
        tail: LogTail = self.host.part(LogTail)
        lines = tail.lines()
        after = query.after if lines and query.after <= lines[-1].number else 0
        found = [
            line
            for line in lines
            if line.number > after and line.level in levels and wanted in line.message.casefold()
        ]
        # Who follows misses none, however many came since.
        shown = found[: query.limit] if after else found[-query.limit :]
        return LogLines(lines=[LogLine(**line._asdict()) for line in shown])
