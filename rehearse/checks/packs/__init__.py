"""Checks that come with `rehearse`. One module here is one pack, named in `checks.packs`: `http.py` is "http"."""
