"""Who may publish and play, and the applications that say so."""

from ntvmedia.access.applications import (
    BUILT_IN,
    FIELDS,
    SECRETS,
    Application,
    describe,
    read_fields,
)
from ntvmedia.access.decision import Access
from ntvmedia.access.fields import ApplicationType
from ntvmedia.access.keys import keep_signing_key
from ntvmedia.access.outputs import OUTPUTS, output_of
from ntvmedia.access.page_sessions import PAGE
from ntvmedia.access.refusals import (
    BuiltIn,
    KeptKey,
    NameInUse,
    NoApplication,
    NoRule,
    TooMany,
    WrongField,
)
from ntvmedia.access.registry import Applications
from ntvmedia.access.requests import Action, Request, Verdict
from ntvmedia.store import StoreError

__all__ = [
    "BUILT_IN",
    "FIELDS",
    "OUTPUTS",
    "PAGE",
    "SECRETS",
    "Access",
    "Action",
    "Application",
    "ApplicationType",
    "Applications",
    "BuiltIn",
    "KeptKey",
    "NameInUse",
    "NoApplication",
    "NoRule",
    "Request",
    "StoreError",
    "TooMany",
    "Verdict",
    "WrongField",
    "describe",
    "keep_signing_key",
    "output_of",
    "read_fields",
]
