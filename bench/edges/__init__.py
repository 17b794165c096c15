"""Benchmarks of what edge cases stand on: the fault proxy, and the judge of recovery."""
