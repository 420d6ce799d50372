"""Alembic's environment, which it runs for every command.

`ntvmedia.store.migration` hands in a connection that is in a transaction: all versions together
are kept, or none. There is no `alembic.ini`.
"""

from alembic import context

from ntvmedia.store.migration import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
)
context.run_migrations()
