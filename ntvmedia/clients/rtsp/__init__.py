"""Plays from other servers and cameras over RTSP, and publishes to them."""
