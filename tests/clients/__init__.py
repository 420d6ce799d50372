"""Tests of ntvmedia.clients."""
