"""An independent judge of the HLS output: playlists and segments over time, as players get them."""
