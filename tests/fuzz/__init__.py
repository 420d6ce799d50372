"""Fuzzing of every parser, in this process: targets, a mutator, and a guided run by coverage."""
