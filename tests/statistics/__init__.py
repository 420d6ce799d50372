"""Tests of `ntvmedia.statistics`."""
