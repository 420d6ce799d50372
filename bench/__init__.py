"""Load generator and measurements: any RTMP or HTTP-FLV server, from outside, on raw sockets.

Nothing here imports `ntvmedia`: what measures the server must not share its code, its bugs or its
costs. Run it by `bench/run` or `python -m bench`; `docs/performance.md` says what the figures mean.
"""
