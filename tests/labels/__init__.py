"""Tests of ntvmedia.labels."""
