"""The project that `rehearse init` writes: its files as templates, and what was answered before they are written."""
