"""GStreamer's RTSP server as a program, for Debian's own Python: that has its bindings.

It prints its port when it listens on 127.0.0.1, and runs until it is stopped. What it serves is
given as `gst-launch` has it: payloaders named pay0, pay1 to play, depayloaders named depay0, depay1
to record.
"""

from __future__ import annotations

import argparse
import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402 - as gi wants it
    Gio,
    GLib,
    Gst,
    GstRtsp,
    GstRtspServer,
)

_LOWER = {
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
    "both": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
}
_ROLE = "user"


def _factory(launch: str, lower: str, *, records: bool) -> GstRtspServer.RTSPMediaFactory:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_protocols(_LOWER[lower])
    if records:
        factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    allowed = "media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    factory.add_role_from_structure(Gst.Structure.new_from_string(f"{_ROLE}, {allowed}"))
    return factory


def _token() -> GstRtspServer.RTSPToken:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", _ROLE)
    return token


def _protected(user: str, password: str, method: str) -> GstRtspServer.RTSPAuth:
    auth, token = GstRtspServer.RTSPAuth(), _token()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--play", nargs=2, action="append", default=[])
    parser.add_argument("--record", nargs=2, action="append", default=[])
    parser.add_argument("--lower", choices=_LOWER, default="both")
    parser.add_argument("--auth", nargs=3, metavar=("USER", "PASSWORD", "METHOD"))
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    auth = _protected(*arguments.auth) if arguments.auth else None
    if arguments.tls:
        if auth is None:
            auth = GstRtspServer.RTSPAuth()
            auth.set_default_token(_token())
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*arguments.tls))
    if auth is not None:
        server.set_auth(auth)
    mounts = server.get_mount_points()
    for records, served in ((False, arguments.play), (True, arguments.record)):
        for path, launch in served:
            mounts.add_factory(path, _factory(f"( {launch} )", arguments.lower, records=records))
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
