"""Groups of commands, as `cli.py` puts them together: options in, exit code out; no logic."""
