"""Sources that FFmpeg reads, in a child process: `ntvmedia.avtools` has all but the addresses."""
