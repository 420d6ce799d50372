"""The database: the one user of SQLAlchemy and Alembic."""

from ntvmedia.store.applications import (
    ApplicationRow,
    delete_application,
    insert_application,
    list_applications,
    update_application,
)
from ntvmedia.store.database import Store
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
    "Duplicate",
    "LabelRow",
    "Store",
    "StoreError",
    "delete_application",
    "delete_stream_label",
    "insert_application",
    "list_applications",
    "list_stream_labels",
    "move_stream_labels",
    "set_stream_label",
    "update_application",
]
