"""Recorded traffic, or a description of an API, becomes an ordinary Locust file that a person goes on editing."""
