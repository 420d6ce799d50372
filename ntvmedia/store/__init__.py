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

__all__ = [
    "ApplicationRow",
    "Duplicate",
    "Store",
    "StoreError",
    "delete_application",
    "insert_application",
    "list_applications",
    "update_application",
]
