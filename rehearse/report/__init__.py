"""One `Result`, told three ways: a page for people, JSON for machines, a few lines for the terminal."""
