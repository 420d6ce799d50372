"""Tests of ntvmedia.config."""
