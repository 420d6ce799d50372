"""The RTMP client: plays from other servers, and publishes to them, with TLS or without."""
