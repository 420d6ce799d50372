"""Who may administer the server: users, their sessions and tokens, and what they did."""

from ntvmedia.accounts.audit import Audit
from ntvmedia.accounts.backoff import Attempts
from ntvmedia.accounts.credentials import (
    TOKEN_PREFIX,
    Session,
    SessionSecret,
    Token,
    describe_session,
    describe_token,
)
from ntvmedia.accounts.logins import IDLE_SECONDS, LIFETIME_SECONDS
from ntvmedia.accounts.passwords import MAX_LENGTH, MIN_LENGTH, Passwords
from ntvmedia.accounts.refusals import (
    AlreadySetUp,
    LastAdministrator,
    NameTaken,
    NoSession,
    NoToken,
    NoUser,
    SlowDown,
    TooMany,
    WrongField,
    WrongPassword,
)
from ntvmedia.accounts.registry import Accounts
from ntvmedia.accounts.roles import Identity, Role
from ntvmedia.accounts.setup import FILE_NAME as SETUP_CODE_FILE
from ntvmedia.accounts.users import MAX_NAME_LENGTH, User, describe_user
from ntvmedia.store import AuditPage, AuditQuery, AuditRow, Note

__all__ = [
    "IDLE_SECONDS",
    "LIFETIME_SECONDS",
    "MAX_LENGTH",
    "MAX_NAME_LENGTH",
    "MIN_LENGTH",
    "SETUP_CODE_FILE",
    "TOKEN_PREFIX",
    "Accounts",
    "AlreadySetUp",
    "Attempts",
    "Audit",
    "AuditPage",
    "AuditQuery",
    "AuditRow",
    "Identity",
    "LastAdministrator",
    "NameTaken",
    "NoSession",
    "NoToken",
    "NoUser",
    "Note",
    "Passwords",
    "Role",
    "Session",
    "SessionSecret",
    "SlowDown",
    "Token",
    "TooMany",
    "User",
    "WrongField",
    "WrongPassword",
    "describe_session",
    "describe_token",
    "describe_user",
]
