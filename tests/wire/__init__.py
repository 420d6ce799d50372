"""Tests of ntvmedia.wire."""
