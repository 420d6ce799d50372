"""Containers, without I/O: FLV, MPEG-TS, MP4 and their playlists; and the AMF0 inside FLV."""
