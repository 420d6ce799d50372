"""RTMP 1.0 with Enhanced RTMP v2, server and client side, without input and output."""
