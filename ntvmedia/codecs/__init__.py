"""Elementary streams: decoder configurations, parameter sets and frame headers of each codec.

Everything here is pure, reads untrusted bytes, and raises only `PeerError` for them.
"""
