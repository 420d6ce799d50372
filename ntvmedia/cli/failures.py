"""How a command says that it did not do what it was asked."""

from __future__ import annotations


class Failed(Exception):
    """The command ends with status 1; the message, one line, is shown to whoever typed it."""
