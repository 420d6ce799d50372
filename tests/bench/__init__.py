"""Tests of the pure pieces of the load generator."""
