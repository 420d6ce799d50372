"""FFmpeg's libraries, by PyAV, in child processes: what may block, crash or burn processor time."""
