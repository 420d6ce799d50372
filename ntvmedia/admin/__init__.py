"""What operators and their programs ask over HTTP: status, streams, metrics.

Importing this package imports Klein, which installs a reactor: do so when one is chosen.
"""

from ntvmedia.admin.site import make_resource

__all__ = ["make_resource"]
