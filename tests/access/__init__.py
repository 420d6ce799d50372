"""Tests of ntvmedia.access."""
