"""Tests of HLS below its addresses."""
