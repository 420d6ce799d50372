"""How a receiver knows that a request is ours and fresh (F-IN-10).

`X-Ntvmedia-Signature: t=UNIX,v1=HEX`, where HEX is HMAC-SHA256 of the secret over the decimal UNIX
time, a dot, and the body; for a GET over the query string instead, as it is sent.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Ntvmedia-Signature"


def signature(secret: str, sent_at: int, data: bytes) -> str:
    """Return the value of the header field.

    Args:
        secret: Of the callback.
        sent_at: Seconds since 1970, whole.
        data: The body, or the query string.
    """
    signed = b"%d." % sent_at + data
    digest = hmac.new(secret.encode("utf-8", "surrogatepass"), signed, hashlib.sha256)
    return f"t={sent_at},v1={digest.hexdigest()}"
