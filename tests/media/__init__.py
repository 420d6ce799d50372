"""Tests of ntvmedia.media."""
