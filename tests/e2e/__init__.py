"""Tests against a real `twistd` with real encoders and players."""
