"""Tests of ntvmedia.endpoints.rtsp, in memory."""
