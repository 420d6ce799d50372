"""RTMP: publishing and playing."""
