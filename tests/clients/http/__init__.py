"""Tests of ntvmedia.clients.http."""
