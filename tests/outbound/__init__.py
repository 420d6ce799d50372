"""Tests of ntvmedia.outbound."""
