"""`ntvmedia hls-download`: HTTP Live Streaming into one MP4 file."""
