"""Tests of ntvmedia.wire.hls."""
