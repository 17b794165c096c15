"""The parts of the `http` pack: the checks by subject, and how they ask."""
