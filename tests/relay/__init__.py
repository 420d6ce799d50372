"""Tests of `ntvmedia.relay`."""
