"""How much one publisher may send: one that floods the server takes the time of all others."""

from __future__ import annotations

from typing import Final

# An encoder that was held up for a while sends what it has all at once: that is no flood.
JUDGED_SECONDS: Final = 5.0


class PublisherLimit:
    """Judges a publisher by what it sent in the last `JUDGED_SECONDS` or a little more.

    Args:
        most_kbps: Thousands of bits of media a second; 0 for no limit.
        most_packets: Packets a second; 0 for no limit.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_bytes", "_most_kbps", "_most_packets", "_packets")

    def __init__(self, most_kbps: int, most_packets: int, now: float) -> None:
        self._most_kbps = most_kbps
        self._most_packets = most_packets
        self.begin(now, 0, 0)

    def begin(self, now: float, sent_bytes: int, packets: int) -> None:
        """Judge what comes from here on.

        Args:
            now: Monotonic seconds.
            sent_bytes: All that ever came.
            packets: The same, in packets.
        """
        self._at = now
        self._bytes = sent_bytes
        self._packets = packets

    def judge(self, now: float, sent_bytes: int, packets: int) -> str:
        """Return what the publisher did wrong, or the empty text.

        To be called about once a second, with arguments as of `begin`.
        """
        passed = now - self._at
        if passed < JUDGED_SECONDS:
            return ""
        kbps = (sent_bytes - self._bytes) * 8 / passed / 1000
        rate = (packets - self._packets) / passed
        self.begin(now, sent_bytes, packets)
        if self._most_kbps and kbps > self._most_kbps:
            return (
                f"sent {kbps:,.0f} kbit/s, more than hub.max_publisher_bitrate_kbps = "
                f"{self._most_kbps}"
            )
        if self._most_packets and rate > self._most_packets:
            return (
                f"sent {rate:,.0f} packets a second, more than hub.max_publisher_packets = "
                f"{self._most_packets}"
            )
        return ""
