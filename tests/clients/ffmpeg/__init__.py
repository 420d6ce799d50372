"""Tests of ntvmedia.clients.ffmpeg."""
