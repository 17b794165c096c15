"""Load on schedule: arrivals as data, one Locust process per side, every arrival accounted for."""
