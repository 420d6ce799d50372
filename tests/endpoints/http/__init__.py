"""Tests of ntvmedia.endpoints.http."""
