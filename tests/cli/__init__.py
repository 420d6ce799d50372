"""Tests of ntvmedia.cli."""
