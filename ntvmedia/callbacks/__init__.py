"""Telling other systems what happens, and asking them who may publish and play."""

from ntvmedia.callbacks.service import Callbacks

__all__ = ["Callbacks"]
