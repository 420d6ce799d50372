"""The API's statistics: what was published and watched, by day, in charts, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ntvmedia.accounts import Role
from ntvmedia.admin.csv_answers import MEDIA_TYPE, PIECE_ROWS, csv_answer, moment
from ntvmedia.admin.operations import Call, Operations, Streaming, operation
from ntvmedia.admin.paging import Paging, numbers, sort_key
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.statistics_types import (
    Chart,
    DayFilter,
    DayList,
    DayQuery,
    DayShown,
    PastViewer,
    PastViewerList,
    PointQuery,
    PointShown,
    RefusalList,
    RefusalQuery,
    RefusalShown,
    ViewerFilter,
    ViewerQuery,
)
from ntvmedia.statistics import (
    DAY_KEYS,
    SPANS,
    DayRow,
    DaySlice,
    PointRow,
    RefusalRow,
    RefusalSlice,
    ViewerRow,
    ViewerSlice,
)

MAX_POINTS: Final = 5000
"""Of one chart: more than a screen has columns, and some 500 kB."""

# As many as are wanted where nothing is said: a day has 1440 minutes.
_FITTING_POINTS: Final = 1500

_DAY_SECONDS: Final = 86_400.0

_DAY_SORTS: Final = tuple(DayRow._fields)
_REFUSAL_SORTS: Final = tuple(RefusalRow._fields)
_VIEWER_SORTS: Final = (
    "started_at", "application", "stream", "protocol", "peer", "ended_at", "seconds", "bytes_out",
)  # fmt: skip
_VIEWER_COLUMNS: Final = tuple(name for name in ViewerRow._fields if name not in ("id", "run"))


class StatisticsOperations(Operations):
    """What was published and watched: at most 10 seconds old, and kept for 400 days by default."""

    tag = "statistics"

    @operation("GET", "/statistics/days", role=Role.VIEWER, query=DayQuery, answers=DayList)
    async def days(self, call: Call) -> DayList:
        """List what was counted by day, application, stream and protocol.

        Days begin at midnight in UTC. `by` names what is told apart: `by=day` has one item for
        each day, `by=application&by=stream` one for each stream. Sorted by any field; `q` is
        looked for in the application and the stream.
        """
        query: DayQuery = call.query
        keys = [key for key in DAY_KEYS if key in query.by or not query.by]
        name, is_reversed = sort_key(query, _DAY_SORTS, "-day" if "day" in keys else "-seconds")
        if name in DAY_KEYS and name not in keys:
            raise Problem(400, f"sort: {name} is not told apart", "sort")
        found = await self.host.statistics.reports.days(
            DaySlice(
                **_names(query, ("application", "stream", "protocol", "since", "until")),
                **_page(query, name, is_reversed=is_reversed),
                by=tuple(keys),
            )
        )
        return DayList(
            days=[DayShown(**row._asdict()) for row in found.rows], **numbers(query, found.total)
        )

    @operation(
        "GET", "/statistics/days.csv", role=Role.VIEWER, query=DayFilter, media_type=MEDIA_TYPE
    )
    async def days_csv(self, call: Call) -> Streaming:
        """Export what was counted by day, application, stream and protocol, the oldest first.

        A text that a spreadsheet would take for a formula has an apostrophe before it.
        """
        names = _names(call.query, ("application", "stream", "protocol", "since", "until"))
        wanted = DaySlice(**names, limit=PIECE_ROWS)
        reports = self.host.statistics.reports
        return await csv_answer(DayRow._fields, lambda last: reports.next_days(wanted, last))

    @operation(
        "GET", "/statistics/refusals", role=Role.VIEWER, query=RefusalQuery, answers=RefusalList
    )
    async def list_refusals(self, call: Call) -> RefusalList:
        """List how often who wanted to publish or play was refused, by the rule that refused.

        Sorted by any field; `q` is looked for in the application and the rule.
        """
        query: RefusalQuery = call.query
        name, is_reversed = sort_key(query, _REFUSAL_SORTS, "-day")
        found = await self.host.statistics.reports.refusals(
            RefusalSlice(
                **_names(query, ("application", "protocol", "rule", "since", "until")),
                **_page(query, name, is_reversed=is_reversed),
            )
        )
        return RefusalList(
            refusals=[RefusalShown(**row._asdict()) for row in found.rows],
            **numbers(query, found.total),
        )

    @operation("GET", "/statistics/points", role=Role.VIEWER, query=PointQuery, answers=Chart)
    async def points(self, call: Call) -> Chart:
        """Show the points of a chart.

        Points of a minute are kept for 2 days, those of 10 minutes for 30 days, and those of an
        hour as long as the days.
        """
        query: PointQuery = call.query
        until = self.host.statistics.wall_clock() if query.until is None else query.until
        since = max(0.0, until - _DAY_SECONDS) if query.since is None else query.since
        if since > until:
            raise Problem(400, "since: expected a time before until", "since")
        span: int = query.span or _fitting_span(until - since)
        if (until - since) / span > MAX_POINTS:
            shortest = next((x for x in SPANS if (until - since) / x <= MAX_POINTS), None)
            wish = f"expected {shortest} or more" if shortest else "the time is too long"
            raise Problem(400, f"span: more than {MAX_POINTS:,} points; {wish}", "span")
        rows = await self.host.statistics.reports.points(span, query.application, since, until)
        return Chart(
            application=query.application,
            since=since,
            until=until,
            span=span,
            points=[_point(row) for row in rows],
        )

    @operation(
        "GET", "/statistics/viewers", role=Role.OPERATOR, query=ViewerQuery, answers=PastViewerList
    )
    async def viewers(self, call: Call) -> PastViewerList:
        """List who watched what, when, for how long, and how much he was sent.

        Who came last is the first. `q` is looked for in application, stream and address. The log
        is kept for 30 days by default.
        """
        query: ViewerQuery = call.query
        name, is_reversed = sort_key(query, _VIEWER_SORTS, "-started_at")
        found = await self.host.statistics.reports.viewers(
            ViewerSlice(
                **_names(query, ("application", "stream", "protocol", "since", "until", "peer")),
                **_page(query, name, is_reversed=is_reversed),
            )
        )
        return PastViewerList(
            viewers=[_viewer(row) for row in found.rows], **numbers(query, found.total)
        )

    @operation(
        "GET",
        "/statistics/viewers.csv",
        role=Role.OPERATOR,
        query=ViewerFilter,
        media_type=MEDIA_TYPE,
    )
    async def viewers_csv(self, call: Call) -> Streaming:
        """Export the log of viewers, who came first first.

        A text that a spreadsheet would take for a formula has an apostrophe before it.
        """
        names = _names(call.query, ("application", "stream", "protocol", "since", "until", "peer"))
        wanted = ViewerSlice(**names, limit=PIECE_ROWS)
        reports = self.host.statistics.reports
        return await csv_answer(
            _VIEWER_COLUMNS, lambda last: reports.next_viewers(wanted, last), _viewer_fields
        )


def _names(query: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(query, name) for name in names}


def _page(query: Paging, name: str, *, is_reversed: bool) -> dict[str, Any]:
    return {
        "text": query.q,
        "sort": f"-{name}" if is_reversed else name,
        "limit": query.page_size,
        "offset": query.offset,
    }


def _fitting_span(seconds: float) -> int:
    return next((span for span in SPANS if seconds / span <= _FITTING_POINTS), SPANS[-1])


def _point(row: PointRow) -> PointShown:
    # What was counted for a moment only has no rate.
    seconds = max(row.seconds, 1.0)
    return PointShown(
        time=row.time,
        viewers=row.viewers,
        publishers=row.publishers,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        bitrate_in=round(row.bytes_in * 8 / seconds),
        bitrate_out=round(row.bytes_out * 8 / seconds),
    )


def _viewer(row: ViewerRow) -> PastViewer:
    fields = row._asdict()
    del fields["run"]
    return PastViewer(**fields)


def _viewer_fields(row: ViewerRow) -> list[Any]:
    shown = row._replace(started_at=moment(row.started_at), ended_at=moment(row.ended_at))  # type: ignore[arg-type]
    return [getattr(shown, name) for name in _VIEWER_COLUMNS]
