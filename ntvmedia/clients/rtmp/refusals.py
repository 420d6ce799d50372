"""What a server's refusal means: its code, and the words that it puts to it.

The codes are Flash's (RTMP 1.0 section 7.2 names a few), and servers use them loosely: nginx-rtmp,
SRS and this server say "NetStream.Publish.BadName" both of a name that somebody has and of one that
nobody may have. So words count more than codes.
"""

from __future__ import annotations

import re
from typing import Final

from ntvmedia.clients.rtmp.addresses import RTMPURL
from ntvmedia.errors import RemoteError

MAX_SHOWN: Final = 200
"""Characters of a server's words."""

# Of what is looked at; a sentence has 100.
_MAX_DESCRIPTION: Final = 4096

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
UNAUTHORIZED: Final = 401

# In this order: what passes by itself outweighs all else ("not allowed: too many connections") but
# a loop, of which this server says that a stream "has passed this server already".
_WORDS: Final = (
    (re.compile(r"\bloop\b"), FORBIDDEN, True),
    (
        re.compile(
            r"too many|limit|busy|try again|later|overload|capacity|unavailable|timed? ?out"
            r"|already|in use|taken|(?<!not )(?<!n't )exists?\b|has a publisher|another"
            r"|\b50[0234]\b"
        ),
        0,
        False,
    ),
    (
        re.compile(
            r"unauthori[sz]ed|authenticat|need auth|auth(orization)? (failed|error|required)"
            r"|authfailed|password|credentials|nosuchuser|\b401\b"
        ),
        UNAUTHORIZED,
        True,
    ),
    (
        re.compile(
            r"denied|den(y|ies)|not allowed|forbid|not permitted|permission|no access|\b403\b"
            r"|(invalid|bad|wrong|unknown|expired).{0,16}(token|key|signature|secret)"
            r"|(token|key|signature|secret).{0,16}(invalid|wrong|unknown|expired|mismatch)"
        ),
        FORBIDDEN,
        True,
    ),
    (
        re.compile(r"not found|no such|does(n't| not) exist|invalid app|unknown app|\b404\b"),
        NOT_FOUND,
        True,
    ),
)

_CODES: Final = {
    "NetConnection.Connect.InvalidApp": (NOT_FOUND, True),
    "NetConnection.Connect.Rejected": (FORBIDDEN, True),
    "NetStream.Play.Denied": (FORBIDDEN, True),
    "NetStream.Play.StreamNotFound": (NOT_FOUND, True),
    "NetStream.Publish.Denied": (FORBIDDEN, True),
}
"""Where the words tell nothing. The rest passes, as far as one can tell: a name that is taken may
still be our own, of a connection that broke."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")


def refusal(what: str, code: str, description: str, url: RTMPURL) -> RemoteError:
    """Return what a server's refusal means.

    Args:
        what: It refused, or did instead: begins the message.
        code: Of the information object; may be empty.
        description: Likewise.
        url: What it was asked for; nothing of it but the host is in the message.
    """
    status, is_permanent = _CODES.get(code, (0, False))
    words = _cleaned(description, url)
    for pattern, found, lasts in _WORDS:
        if pattern.search(words.lower()):
            status, is_permanent = found, lasts
            break
    shown = " - ".join(text for text in (_shown(_cleaned(code, url)), _shown(words)) if text)
    return RemoteError(f"{what}: {shown}" if shown else what, status, is_permanent=is_permanent)


def _cleaned(description: str, url: RTMPURL) -> str:
    """Leave out of a server's words what was asked for, addresses and queries.

    What was asked for might be any word, and would be taken for the server's own.
    """
    if len(description) > _MAX_DESCRIPTION:
        # Cut somewhere, the half of a key might be left.
        return ""
    text = _ADDRESS.sub("(address)", description)
    # Behind it stand a user and a salt (authmod), or a key.
    text = text.partition("?")[0]
    for secret in url.secrets:
        if len(secret) > 1:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "(...)", text)
    return text.strip()


def _shown(text: str) -> str:
    return ascii(text[:MAX_SHOWN])[1:-1]
