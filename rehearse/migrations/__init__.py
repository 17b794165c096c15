"""What linters say of an upgrade's migrations, and which part of the upgrade each finding endangers."""
