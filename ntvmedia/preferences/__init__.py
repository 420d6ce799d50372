"""Settings of the whole server that the API changes: in memory for decisions, stored for good."""

from ntvmedia.preferences.clients import (
    FORWARDED_FOR,
    client_address,
    is_loopback,
    is_within,
)
from ntvmedia.preferences.registry import Preferences
from ntvmedia.preferences.values import FIELDS, Values, WrongPreference, describe, read_values

__all__ = [
    "FIELDS",
    "FORWARDED_FOR",
    "Preferences",
    "Values",
    "WrongPreference",
    "client_address",
    "describe",
    "is_loopback",
    "is_within",
    "read_values",
]
