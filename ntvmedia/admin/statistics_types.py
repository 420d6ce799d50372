"""What the API asks and answers about statistics."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from ntvmedia.admin.paging import Page, Paging

# The year 9999.
_LATEST: Final = 253_402_300_799.0

Moment = Annotated[float, Meta(ge=0, le=_LATEST)]
_Name = Annotated[str, Meta(max_length=128)]
_Seconds = Annotated[float, Meta(ge=0, description="Watched by all of them together.")]
_Peak = Annotated[int, Meta(ge=0, description="The most at the same time.")]
_Received = Annotated[int, Meta(ge=0, description="Media bytes from publishers.")]
_Sent = Annotated[int, Meta(ge=0, description="Bytes to viewers.")]
_WholeServer = Annotated[str, Meta(max_length=128, description="Empty for the whole server.")]


class DayFilter(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which days."""

    since: Annotated[date | None, Meta(description="The first day, in UTC.")] = None
    until: Annotated[date | None, Meta(description="The last day, in UTC.")] = None
    application: _Name | None = None
    stream: _Name | None = None
    protocol: Annotated[str, Meta(max_length=32)] | None = None


class DayQuery(Paging, kw_only=True):
    """Which days, and how they are added up."""

    since: Annotated[date | None, Meta(description="The first day, in UTC.")] = None
    until: Annotated[date | None, Meta(description="The last day, in UTC.")] = None
    application: _Name | None = None
    stream: _Name | None = None
    protocol: Annotated[str, Meta(max_length=32)] | None = None
    by: Annotated[
        list[Literal["day", "application", "stream", "protocol", "total"]],
        Meta(
            max_length=4,
            description="What is told apart, by default all; the rest is added up. Give it "
            "several times; `total` tells nothing apart.",
        ),
    ] = field(default_factory=list)


class DayShown(Struct, kw_only=True):
    """What was counted of one stream, by one protocol, on one day in UTC; or sums of such.

    What is added up is null (the day) or empty (a name).
    """

    day: date | None
    application: str
    stream: Annotated[str, Meta(description="Empty too for streams that were not told apart.")]
    protocol: str
    viewers: Annotated[
        int, Meta(ge=0, description="Who came, or still watched when the day began.")
    ]
    peak: Annotated[
        int, Meta(ge=0, description="The most at the same time; in sums, of one of them.")
    ]
    seconds: _Seconds
    bytes_in: _Received
    bytes_out: _Sent
    publishes: Annotated[int, Meta(ge=0, description="How often publishing began.")]


class DayList(Page, kw_only=True):
    """Days."""

    days: list[DayShown]


class RefusalQuery(Paging, kw_only=True):
    """Which refusals."""

    since: Annotated[date | None, Meta(description="The first day, in UTC.")] = None
    until: Annotated[date | None, Meta(description="The last day, in UTC.")] = None
    application: _Name | None = None
    protocol: Annotated[str, Meta(max_length=32)] | None = None
    rule: Annotated[str, Meta(max_length=32)] | None = None


class RefusalShown(Struct, kw_only=True):
    """How often a rule refused on one day in UTC."""

    day: date
    application: Annotated[str, Meta(description="Empty for one that there is not.")]
    protocol: str
    rule: Annotated[str, Meta(description="Which refused: as in the metrics.")]
    refused: Annotated[int, Meta(ge=1)]


class RefusalList(Page, kw_only=True):
    """Refusals."""

    refusals: list[RefusalShown]


class PointQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which chart."""

    application: _WholeServer = ""
    since: Annotated[
        Moment | None, Meta(description="Seconds since 1970; by default a day before `until`.")
    ] = None
    until: Annotated[Moment | None, Meta(description="Seconds since 1970; by default now.")] = None
    span: Annotated[
        Literal[0, 60, 600, 3600],
        Meta(description="Seconds of each point; 0 for as short as fits the time."),
    ] = 0


class PointShown(Struct, kw_only=True):
    """One point of a chart."""

    time: Annotated[float, Meta(description="When it begins, in seconds since 1970.")]
    viewers: _Peak
    publishers: _Peak
    bytes_in: _Received
    bytes_out: _Sent
    bitrate_in: Annotated[int, Meta(ge=0, description="Bits a second, on the average.")]
    bitrate_out: Annotated[int, Meta(ge=0, description="Bits a second, on the average.")]


class Chart(Struct, kw_only=True):
    """The points of a time. Where there is none, nobody published or watched."""

    application: _WholeServer
    since: float
    until: float
    span: Annotated[int, Meta(description="Seconds of each point.")]
    points: list[PointShown]


class ViewerFilter(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who watched."""

    since: Annotated[
        Moment | None, Meta(description="Who came then or later, in seconds since 1970.")
    ] = None
    until: Annotated[Moment | None, Meta(description="Who came before.")] = None
    application: _Name | None = None
    stream: _Name | None = None
    protocol: Annotated[str, Meta(max_length=32)] | None = None
    peer: Annotated[str, Meta(max_length=64, description="The address.")] | None = None


class ViewerQuery(Paging, kw_only=True):
    """Who watched."""

    since: Annotated[
        Moment | None, Meta(description="Who came then or later, in seconds since 1970.")
    ] = None
    until: Annotated[Moment | None, Meta(description="Who came before.")] = None
    application: _Name | None = None
    stream: _Name | None = None
    protocol: Annotated[str, Meta(max_length=32)] | None = None
    peer: Annotated[str, Meta(max_length=64, description="The address.")] | None = None


class PastViewer(Struct, kw_only=True):
    """One who watched, or still does."""

    id: str
    application: str
    stream: str
    protocol: str
    peer: Annotated[str, Meta(description="The address, without the port.")]
    user_agent: Annotated[str, Meta(description="The program, as it names itself.")]
    page_url: Annotated[str, Meta(description="The page with the player, without its query.")]
    started_at: Annotated[float, Meta(description="Seconds since 1970.")]
    ended_at: Annotated[float | None, Meta(description="Null while he watches.")]
    seconds: Annotated[float, Meta(ge=0, description="How long he has watched.")]
    bytes_out: _Sent
    reason: Annotated[str, Meta(description="Why he left.")]


class PastViewerList(Page, kw_only=True):
    """The log of viewers."""

    viewers: list[PastViewer]
