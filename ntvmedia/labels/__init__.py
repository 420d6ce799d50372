"""What streams are called, beside their names: by operators, and by who publishes them."""

from ntvmedia.labels.registry import MAX_LABELS, Labels
from ntvmedia.labels.texts import MAX_LENGTH, TooManyLabels, WrongLabel, published_label, read_label

__all__ = [
    "MAX_LABELS",
    "MAX_LENGTH",
    "Labels",
    "TooManyLabels",
    "WrongLabel",
    "published_label",
    "read_label",
]
