"""`rehearse doctor`: is everything ready for a rehearsal? Looks, sends a few journeys, and says what to fix."""
