"""Edge cases as the settings ask for them: run under load on every side, each with a record of what was proven."""
