"""How the tables came to be: Alembic's environment, and one version for each change."""
