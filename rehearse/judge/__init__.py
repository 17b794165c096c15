"""Turns evidence into a verdict. Pure: no clock, file, socket, environment or global random."""
