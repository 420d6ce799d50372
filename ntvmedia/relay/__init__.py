"""Relays: streams pulled from anywhere, made into others, and pushed to other servers."""
