"""Tests of RTSP."""
