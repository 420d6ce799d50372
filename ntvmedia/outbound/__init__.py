"""The one HTTP client of the server, and the policy of whom it may ask."""

from ntvmedia.outbound.addresses import Target, origin_of, parse_target
from ntvmedia.outbound.failures import OutboundError

__all__ = ["OutboundError", "Target", "origin_of", "parse_target"]
