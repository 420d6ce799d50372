"""Answers in JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ntvmedia.admin.problems import MEDIA_TYPE, Problem


def encoded(body: Any) -> bytes:
    """Return a `msgspec.Struct`, or what JSON can have, as one line of JSON."""
    try:
        return msgspec.json.encode(body) + b"\n"
    except UnicodeEncodeError:
        # A peer may have sent half of a surrogate pair as its name, which only escapes can tell.
        return json.dumps(msgspec.to_builtins(body)).encode("ascii") + b"\n"


def reply(
    request: Any, body: bytes, status: int = 200, media_type: str = "application/json"
) -> bytes:
    """Prepare a request's answer, and return its content.

    Args:
        request: An `IRequest` of `twisted.web`.
        body: The content.
        status: A code of `http.HTTPStatus`.
        media_type: Of the content.
    """
    request.setResponseCode(status)
    if status == 204:
        request.responseHeaders.removeHeader("content-type")
    else:
        request.setHeader("content-type", media_type)
    request.setHeader("cache-control", "no-store")
    request.setHeader("x-content-type-options", "nosniff")
    # Nothing of the API is a page: what a browser is made to open does nothing (F-IN-03).
    request.setHeader("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
    return body


def refuse(request: Any, problem: Problem) -> bytes:
    """Prepare the answer that says why a request is not done, and return its content."""
    if problem.status == 401:
        # RFC 9110 11.6.1: it has to be there. No browser asks for a password because of it.
        request.setHeader("www-authenticate", 'Bearer realm="ntvmedia"')
    for name, value in problem.headers.items():
        request.setHeader(name.lower(), value)
    return reply(request, encoded(problem.details()), problem.status, MEDIA_TYPE)
