"""Protocols as pure state machines: bytes in, events and bytes out; no clock, no socket."""
