"""What FFmpeg's errors mean, for an operator. In the child process only.

Their own texts have the address in them, with user and password; none of that is passed on.
"""

from __future__ import annotations

import os
from typing import Final

import av
import av.error

from ntvmedia.errors import RemoteError

_PERMANENT_STATUS: Final = frozenset({400, 401, 403, 404, 405, 410, 451})

_STATUS: Final[dict[type[Exception], int]] = {
    av.error.HTTPBadRequestError: 400,
    av.error.HTTPUnauthorizedError: 401,
    av.error.HTTPForbiddenError: 403,
    av.error.HTTPNotFoundError: 404,
    av.error.HTTPTooManyRequestsError: 429,
}

_WORDS: Final = (
    (av.error.InvalidDataError, "what came is not of the expected format, or broken"),
    (av.error.ExitError, "no answer in time"),
    (av.error.EOFError, "it ended at once"),
    (av.error.PatchWelcomeError, "FFmpeg does not know this kind of source"),
    (av.error.ProtocolNotFoundError, "FFmpeg was not to use the protocol that this leads to"),
    (av.error.DemuxerNotFoundError, "FFmpeg does not know the format"),
    (av.error.HTTPOtherClientError, "the server refused"),
    (av.error.HTTPServerError, "the server has an error of its own"),
)


def in_words(error: Exception) -> RemoteError:
    """Say what an error of FFmpeg means.

    Args:
        error: An `av.FFmpegError`.

    Raises:
        MemoryError: It is that there is too little memory.
    """
    if isinstance(error, MemoryError):
        raise MemoryError from None
    status = _STATUS.get(type(error), 0)
    if status:
        return RemoteError(
            f"the server answered {status}", status, is_permanent=status in _PERMANENT_STATUS
        )
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return RemoteError(words)
    if isinstance(error, OSError) and error.errno:
        return RemoteError(os.strerror(error.errno).lower())
    return RemoteError(f"FFmpeg failed with {type(error).__name__}")
