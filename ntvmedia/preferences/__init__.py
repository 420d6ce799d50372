"""Settings of the whole server that the API changes: in memory for decisions, stored for good."""

from ntvmedia.preferences.registry import Preferences
from ntvmedia.preferences.values import Values

__all__ = ["Preferences", "Values"]
