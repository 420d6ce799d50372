"""What both ends of an RTMP connection do alike, without input and output.

Handshake, chunks, protocol control (RTMP 1.0 section 5.4), acknowledgements, pings and the
deadlines of a connection that says nothing.
"""

from __future__ import annotations

from typing import Final, Protocol

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import ChunkReader, MessageType

CHUNK_SIZE: Final = 60000
"""Bytes; what SRS and FFmpeg send with. Most frames are one chunk, so that nothing is cut."""

WINDOW_ACK_SIZE: Final = 2_500_000
"""Bytes after which we ask the peer for an acknowledgement, and send ours unless told otherwise."""

MIN_ACK_STEP: Final = 4096
"""Least bytes between two acknowledgements. Each costs 16 bytes and, at a peer that counts them as
data, more acknowledgements: with a window of 1 two ends would talk about nothing else."""

NO_ACK: Final = 1 << 62
"""More bytes than will ever come: the peer turned acknowledgements off with a window of 0."""

FMLE_ACK_MODULUS: Final = 0xF0000000
"""Flash Media Live Encoder stops when an acknowledgement passes this: count modulo it."""

HANDSHAKE_SECONDS: Final = 15.0
"""From the first byte to the answered `connect`, however many bytes trickle in meanwhile."""

PING_SECONDS: Final = 30.0
"""Silence after which the peer is pinged."""

PING_TIMEOUT_SECONDS: Final = 30.0
"""Further silence after which it is gone, though the kernel may still take what we send."""

CHECK_SECONDS: Final = 1.0
"""How often the deadlines are to be looked at, and so how late they may be noticed."""

_ANY_CONTROL: Final = frozenset(
    {
        MessageType.ACKNOWLEDGEMENT,
        MessageType.USER_CONTROL,
        MessageType.WINDOW_ACK_SIZE,
        MessageType.SET_PEER_BANDWIDTH,
    }
)


class Handshake(Protocol):
    """`ntvmedia.wire.rtmp.handshake.ServerHandshake` or `ClientHandshake`."""

    done: bool

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the peer."""

    def data_to_send(self) -> bytes:
        """Return what has to go out now."""

    def remainder(self) -> bytes:
        """Return what came after the handshake."""


class Session:
    """One end of a connection: the part that is the same for server and client.

    Call `receive_data` with bytes as they come, take `events`, then send `data_to_send`. Call
    `handle_timeout` at `next_timeout`, or about every `CHECK_SECONDS` for all sessions at once.

    Args:
        handshake: The one of this end.
        now: Monotonic seconds.
        chunk_size: Of what this end sends, in bytes.
        window_ack_size: In bytes.
        ack_modulus: At which received bytes are counted from 0 again: 2**32, or
            `FMLE_ACK_MODULUS`.
        max_message_size: Of what is received, in bytes.
        handshake_seconds: As `HANDSHAKE_SECONDS`.
        ping_seconds: As `PING_SECONDS`.
        ping_timeout_seconds: As `PING_TIMEOUT_SECONDS`.
    """

    def __init__(
        self,
        handshake: Handshake,
        *,
        now: float,
        chunk_size: int,
        window_ack_size: int,
        ack_modulus: int,
        max_message_size: int,
        handshake_seconds: float,
        ping_seconds: float,
        ping_timeout_seconds: float,
    ) -> None:
        self._chunk_size = chunk_size
        self._window_ack_size = window_ack_size
        self._ack_modulus = ack_modulus
        self._handshake: Handshake | None = handshake
        self._early = bytearray()
        self._reader = ChunkReader(max_message_size)
        self._out: list[bytes] = []
        self._failed = False
        self._received = 0
        self._acknowledged = 0
        self._ack_step = max(window_ack_size // 2, MIN_ACK_STEP)
        self._handshake_seconds = handshake_seconds
        self._ping_seconds = ping_seconds
        self._ping_timeout_seconds = ping_timeout_seconds
        self._started_at = now
        self._checked_at = now
        self._heard_at = now
        self._heard_bytes = 0
        self._pinged_at: float | None = None
        self._ignored = 0

    @property
    def buffered(self) -> int:
        """Bytes held: unfinished messages, and those that wait for an answer of the owner."""
        return len(self._early) + self._reader.buffered

    @property
    def received(self) -> int:
        """Bytes taken in since the start, the handshake's among them."""
        return self._received

    @property
    def ignored(self) -> int:
        """How many messages of unknown or pointless types were passed over."""
        return self._ignored

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the peer. Nothing is parsed yet."""
        self._received += len(data)
        if self._handshake is not None:
            self._early += data
            return
        self._reader.receive_data(data)
        if self._received - self._acknowledged >= self._ack_step:
            # At half the window, as SRS does: encoders that wait at a full one never do.
            self._acknowledged = self._received
            self._out.append(writer.acknowledgement(self._received % self._ack_modulus))

    def discard(self) -> None:
        """Let go of all that is held for the peer, who has gone. Nothing may be called after.

        A connection is part of cycles, and what it holds may be 16 MiB: too much to leave to a
        collector that comes when it likes.
        """
        self._failed = True
        self._early.clear()
        self._out.clear()
        self._reader = ChunkReader()

    def data_to_send(self) -> bytes:
        """Return all that has to go out now, in order; empty for nothing."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def ping(self, now: float) -> None:
        """Ask the peer for a sign of life; any bytes of it count as one.

        Args:
            now: Monotonic seconds.
        """
        self._pinged_at = now
        self._out.append(writer.ping_request(int(now * 1000)))

    def next_timeout(self) -> float:
        """Return the time, in monotonic seconds, to call `handle_timeout` at."""
        return self._checked_at + CHECK_SECONDS

    def handle_timeout(self, now: float) -> None:
        """Look at the deadlines; then send `data_to_send`, which may hold a ping.

        Args:
            now: Monotonic seconds.

        Raises:
            PeerError: The peer let one pass. Close the connection.
            UsageError: The session failed before.
        """
        self._check_usable()
        try:
            self._check_deadlines(now)
        except PeerError:
            self._failed = True
            raise
        self._checked_at = now

    def _check_deadlines(self, now: float) -> None:
        if not self._is_connected() and now - self._started_at >= self._handshake_seconds:
            raise PeerError(
                f"not connected after {self._handshake_seconds:g} s", reference="RTMP 1.0 5.2"
            )
        if self._received != self._heard_bytes or self._is_held():
            # Some time since the last look: to be on the safe side, right after it.
            self._heard_bytes = self._received
            self._heard_at = self._checked_at
            self._pinged_at = None
        if self._handshake is not None:
            return
        if self._pinged_at is None:
            if now - self._heard_at >= self._ping_seconds:
                self.ping(now)
        elif now - self._pinged_at >= self._ping_timeout_seconds:
            raise PeerError(
                f"no answer to a ping for {self._ping_timeout_seconds:g} s",
                reference="RTMP 1.0 7.1.7",
            )

    def _is_connected(self) -> bool:
        """Whether `connect` was answered."""
        raise NotImplementedError

    def _is_held(self) -> bool:
        """Whether the owner lets the peer wait, and may not read from it."""
        return False

    def _check_usable(self) -> None:
        if self._failed:
            raise UsageError("the session failed before; make a new one")

    def _shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        handshake = self._handshake
        if handshake is None:
            return True
        data = bytes(self._early)
        self._early.clear()
        handshake.receive_data(data)
        self._out.append(handshake.data_to_send())
        if not handshake.done:
            return False
        self._handshake = None
        self._reader.receive_data(handshake.remainder())
        return True

    def _control(self, type_id: int, payload: bytes) -> bool:
        """Obey a protocol control message; return whether it was one that is understood."""
        if type_id not in _ANY_CONTROL or len(payload) < 4:
            return False
        if type_id == MessageType.WINDOW_ACK_SIZE:
            window = int.from_bytes(payload[:4], "big")
            self._ack_step = max(window // 2, MIN_ACK_STEP) if window else NO_ACK
        elif type_id == MessageType.USER_CONTROL:
            event = int.from_bytes(payload[:2], "big")
            if event == writer.UserControl.PING_REQUEST and len(payload) >= 6:
                self._out.append(writer.ping_response(int.from_bytes(payload[2:6], "big")))
            # Buffer lengths change nothing here, a ping's answer counts by its bytes, and of the
            # rest (31 and 32 from Flash's servers, 33 and above) none asks for anything.
        return True
