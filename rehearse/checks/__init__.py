"""Codified breakages: pytest functions that ask a target what broke once, and must not break again."""
