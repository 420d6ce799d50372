"""Loads HTTP Live Streaming from other servers, over the one HTTP client."""
