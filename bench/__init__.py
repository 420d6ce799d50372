"""Load generator and measurements: any RTMP or HTTP server of live streams, from outside.

Nothing here imports `ntvmedia`: what measures the server must not share its code, its bugs or its
costs (`muxloop`, which is a subject of measurement itself, is the one exception). Run it by
`bench/run` or `python -m bench`; `docs/performance.md` says what the figures mean.
"""
