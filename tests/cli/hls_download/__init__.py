"""Tests of ntvmedia.cli.hls_download."""
