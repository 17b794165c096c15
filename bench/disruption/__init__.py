"""Benchmarks of the disruption probes: outages of a known length, against what the probes make of them."""
