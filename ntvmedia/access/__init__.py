"""Who may publish and play."""

from ntvmedia.access.applications import BUILT_IN, Application, ApplicationType
from ntvmedia.access.decision import Access, Action, Request, Verdict

__all__ = [
    "BUILT_IN",
    "Access",
    "Action",
    "Application",
    "ApplicationType",
    "Request",
    "Verdict",
]
