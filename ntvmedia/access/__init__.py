"""Who may publish and play, and the applications that say so."""

from ntvmedia.access.applications import (
    BUILT_IN,
    FIELDS,
    SECRETS,
    Application,
    describe,
    read_fields,
)
from ntvmedia.access.decision import Access, Action, Request, Verdict
from ntvmedia.access.fields import ApplicationType
from ntvmedia.access.keys import keep_signing_key
from ntvmedia.access.outputs import OUTPUTS, output_of
from ntvmedia.access.refusals import BuiltIn, NameInUse, NoApplication, WrongField
from ntvmedia.access.registry import Applications
from ntvmedia.store import StoreError

__all__ = [
    "BUILT_IN",
    "FIELDS",
    "OUTPUTS",
    "SECRETS",
    "Access",
    "Action",
    "Application",
    "ApplicationType",
    "Applications",
    "BuiltIn",
    "NameInUse",
    "NoApplication",
    "Request",
    "StoreError",
    "Verdict",
    "WrongField",
    "describe",
    "keep_signing_key",
    "output_of",
    "read_fields",
]
