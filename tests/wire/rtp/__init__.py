"""RTP, RTCP and the payload formats."""
