"""What a declared check can ask, one kind in a file: its keys, its expectations, and how it is asked."""
