"""Tests of the RTMP codecs and sessions."""
