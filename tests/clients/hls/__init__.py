"""Tests of ntvmedia.clients.hls."""
