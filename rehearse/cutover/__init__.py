"""The parts of a rehearsed cutover that touch the world: steps that run, rows that must survive, questions."""
