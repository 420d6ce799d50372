"""The client's side of HTTP Live Streaming, without input and output (RFC 8216bis section 6.3)."""
