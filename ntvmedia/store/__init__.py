"""The database: the one user of SQLAlchemy and Alembic."""

from ntvmedia.store.accounts import (
    SessionRow,
    TokenRow,
    UserRow,
    delete_sessions,
    delete_tokens,
    delete_user,
    insert_session,
    insert_token,
    insert_user,
    list_sessions,
    list_tokens,
    list_users,
    touch_sessions,
    touch_tokens,
    update_user,
)
from ntvmedia.store.applications import (
    ApplicationRow,
    delete_application,
    insert_application,
    list_applications,
    update_application,
)
from ntvmedia.store.audit import (
    AuditPage,
    AuditQuery,
    AuditRow,
    insert_audit,
    prune_audit,
    query_audit,
)
from ntvmedia.store.database import Store
from ntvmedia.store.notes import Note, take_note
from ntvmedia.store.preferences import list_preferences, write_preferences
from ntvmedia.store.problems import Duplicate, StoreError
from ntvmedia.store.streams import (
    LabelRow,
    delete_stream_label,
    list_stream_labels,
    move_stream_labels,
    set_stream_label,
)

__all__ = [
    "ApplicationRow",
    "AuditPage",
    "AuditQuery",
    "AuditRow",
    "Duplicate",
    "LabelRow",
    "Note",
    "SessionRow",
    "Store",
    "StoreError",
    "TokenRow",
    "UserRow",
    "delete_application",
    "delete_sessions",
    "delete_stream_label",
    "delete_tokens",
    "delete_user",
    "insert_application",
    "insert_audit",
    "insert_session",
    "insert_token",
    "insert_user",
    "list_applications",
    "list_preferences",
    "list_sessions",
    "list_stream_labels",
    "list_tokens",
    "list_users",
    "move_stream_labels",
    "prune_audit",
    "query_audit",
    "set_stream_label",
    "take_note",
    "touch_sessions",
    "touch_tokens",
    "update_application",
    "update_user",
    "write_preferences",
]
