"""Tests of `ntvmedia.callbacks`."""
