"""Measurements of the load generator itself, on one core, against nginx on loopback."""
