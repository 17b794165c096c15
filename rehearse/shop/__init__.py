"""The sample shop: a small real service in three versions, to rehearse an upgrade against.

`versions.py` names every break of the upgrade; start one with `python -m rehearse.shop serve --version 2.0`.
"""
