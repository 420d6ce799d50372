"""RTP and RTCP, and how RTP carries each codec, without input and output."""
