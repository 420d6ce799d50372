"""Fixtures of the tests of HLS below its addresses: those of the tests over a whole server."""

from __future__ import annotations

from tests.hls.conftest import rigs

__all__ = ["rigs"]
