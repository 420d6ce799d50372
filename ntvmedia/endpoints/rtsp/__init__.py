"""RTSP, publishing and playing, as a Twisted protocol."""
