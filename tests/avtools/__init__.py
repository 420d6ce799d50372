"""Tests of `ntvmedia.avtools`."""
