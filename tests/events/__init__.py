"""Tests of ntvmedia.events."""
