"""Benchmarks: each prints a table and writes JSON. Not part of the quick test suite."""
