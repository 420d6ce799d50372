"""Tests of ntvmedia.endpoints.rtmp."""
