"""A cutover, with fakes and on a real shop."""
