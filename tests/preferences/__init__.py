"""Tests of `ntvmedia.preferences`."""
