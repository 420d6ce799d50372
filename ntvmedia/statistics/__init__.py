"""What was published and watched, by day, and who watched."""

from ntvmedia.statistics.counting import SPANS
from ntvmedia.statistics.reports import Reports
from ntvmedia.statistics.service import Statistics
from ntvmedia.store import (
    DAY_KEYS,
    DayRow,
    DaySlice,
    PointRow,
    RefusalRow,
    RefusalSlice,
    ViewerRow,
    ViewerSlice,
)

__all__ = [
    "DAY_KEYS",
    "SPANS",
    "DayRow",
    "DaySlice",
    "PointRow",
    "RefusalRow",
    "RefusalSlice",
    "Reports",
    "Statistics",
    "ViewerRow",
    "ViewerSlice",
]
