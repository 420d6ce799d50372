"""Tests of ntvmedia.clients.rtmp."""
