"""Tests of ntvmedia.clients.rtsp."""
