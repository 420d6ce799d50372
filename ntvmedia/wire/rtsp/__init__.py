"""RTSP 1.0 (RFC 2326), server and client side, without input and output."""
