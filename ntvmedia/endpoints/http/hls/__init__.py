"""HLS: the output `.m3u8`, and all that its playlists name."""
