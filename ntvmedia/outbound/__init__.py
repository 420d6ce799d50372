"""The one HTTP client of the server, and the policy of whom it may ask.

The client itself is in `ntvmedia.outbound.client`: whoever only looks at addresses does not wait
for all that it needs.
"""

from ntvmedia.outbound.addresses import Target, origin_of, parse_target
from ntvmedia.outbound.failures import OutboundError

__all__ = ["OutboundError", "Target", "origin_of", "parse_target"]
