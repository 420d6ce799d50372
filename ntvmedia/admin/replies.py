"""Answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def reply(request: Any, body: Mapping[str, object], status: int = 200) -> bytes:
    """Prepare a request's answer, and return its content: one JSON object in ASCII.

    Args:
        request: An `IRequest` of `twisted.web`.
        body: What to say.
        status: A code of `http.HTTPStatus`.
    """
    request.setResponseCode(status)
    request.setHeader("content-type", "application/json")
    request.setHeader("cache-control", "no-store")
    request.setHeader("x-content-type-options", "nosniff")
    return json.dumps(body, sort_keys=True).encode("ascii") + b"\n"
