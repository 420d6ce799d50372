"""Streams over HTTP: found out what they are, and taken apart or given to a child process."""
