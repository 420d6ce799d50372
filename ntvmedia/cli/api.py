"""`ntvmedia api`: any request to the API of the server that runs, with all rights.

Whoever may open the control socket in the data folder owns the server; nothing else is asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final
from urllib.parse import quote

from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places
from ntvmedia.cli.tables import as_json

ROOT: Final = "/mserver/api/v1"

METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")

# More than the server takes.
_MAX_BODY_BYTES: Final = 1 << 20

# What a path has besides letters and digits (RFC 3986 3.3), a query, and what is encoded already.
_SAFE: Final = "/?&=%:@!$'()*+,;~-._"


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia api` its options."""
    parser.description = (
        "Ask the running server's API, with the rights of an administrator. What there is to be "
        "asked is told by: ntvmedia api GET /openapi.json"
    )
    parser.add_argument("method", metavar="METHOD", type=_method, help=", ".join(METHODS))
    parser.add_argument(
        "path", metavar="PATH", help="below /mserver/api/v1, with a query: /streams?page=2"
    )
    parser.add_argument(
        "body", metavar="JSON", nargs="?", help="the body; - reads it from standard input"
    )
    add_places(parser, config=False)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    body = _body(options.body)
    try:
        content = ControlClient(options.data).fetch(options.method, _path(options.path), body)
    except NotRunning:
        raise Failed(f"no server runs with --data {options.data}") from None
    if content.media_type == "application/json":
        sys.stdout.write(as_json(json.loads(content.body)))
    elif content.body:
        # A QR code, a table: as it is, for a file.
        sys.stdout.flush()
        sys.stdout.buffer.write(content.body)
        sys.stdout.buffer.flush()


def _method(text: str) -> str:
    method = text.upper()
    if method not in METHODS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(METHODS)}")
    return method


def _path(text: str) -> str:
    """Return the path of a request: what somebody typed may be whole, or have other letters."""
    path = text if text.startswith("/") else f"/{text}"
    if not path.startswith(f"{ROOT}/"):
        path = ROOT + path
    return quote(path, safe=_SAFE)


def _body(text: str | None) -> bytes | None:
    """Return the body to send; what is no JSON is told before anybody is asked."""
    if text == "-":
        try:
            text = sys.stdin.read(_MAX_BODY_BYTES + 1)
        except UnicodeDecodeError as error:
            raise Failed(f"the body is no text: {error.reason}") from None
    if text is None:
        return None
    if len(text) > _MAX_BODY_BYTES:
        raise Failed(f"the body is longer than {_MAX_BODY_BYTES:,} characters")
    try:
        return json.dumps(json.loads(text)).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise Failed(f"the body is no JSON: {error}") from None
