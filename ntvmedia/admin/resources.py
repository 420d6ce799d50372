"""What the API is made of: all classes of operations, in the order of its description.

Imported when the API is first asked for, and not before: see `ntvmedia.admin.site`.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.admin.addresses import AddressOperations
from ntvmedia.admin.applications import ApplicationOperations
from ntvmedia.admin.audit import AuditOperations
from ntvmedia.admin.callbacks import CallbackOperations
from ntvmedia.admin.description import Description
from ntvmedia.admin.forbidden import ForbiddenOperations
from ntvmedia.admin.health import HealthOperations
from ntvmedia.admin.ip_rules import IPRuleOperations
from ntvmedia.admin.limits import LimitOperations
from ntvmedia.admin.live_updates import LiveUpdates
from ntvmedia.admin.log import LogOperations
from ntvmedia.admin.operations import Operations
from ntvmedia.admin.preferences import PreferenceOperations
from ntvmedia.admin.pushes import PushOperations
from ntvmedia.admin.relays import RelayOperations
from ntvmedia.admin.server_status import ServerStatus
from ntvmedia.admin.sessions import SessionOperations
from ntvmedia.admin.settings import SettingsOperations
from ntvmedia.admin.setup import SetupOperations
from ntvmedia.admin.share_links import ShareLinkOperations
from ntvmedia.admin.signing_keys import SigningKeyOperations
from ntvmedia.admin.statistics import StatisticsOperations
from ntvmedia.admin.streams import StreamOperations
from ntvmedia.admin.tokens import TokenOperations
from ntvmedia.admin.users import UserOperations
from ntvmedia.admin.viewers import ViewerOperations

RESOURCES: Final[list[type[Operations]]] = [
    Description,
    SetupOperations,
    SessionOperations,
    UserOperations,
    TokenOperations,
    AuditOperations,
    ServerStatus,
    LiveUpdates,
    ApplicationOperations,
    StreamOperations,
    ViewerOperations,
    AddressOperations,
    ForbiddenOperations,
    IPRuleOperations,
    ShareLinkOperations,
    SigningKeyOperations,
    SettingsOperations,
    LogOperations,
    HealthOperations,
    StatisticsOperations,
    LimitOperations,
    PreferenceOperations,
    CallbackOperations,
    RelayOperations,
    PushOperations,
]
