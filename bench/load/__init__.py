"""Measurements of the load generator itself, against real servers on loopback."""
