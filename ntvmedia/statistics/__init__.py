"""What was published and watched, by day, and who watched."""

from ntvmedia.statistics.service import Statistics

__all__ = ["Statistics"]
