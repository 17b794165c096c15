"""Real upgrades, with packages as they are published: what a rehearsal finds of them without being told."""
