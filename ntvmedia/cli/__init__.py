"""The `ntvmedia` command."""
