"""Tests of `ntvmedia.accounts`."""
