"""Tests of `ntvmedia.store`, on SQLite and on a real PostgreSQL."""
