"""A certificate for tests, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAMES = "subjectAltName=DNS:shop.localhost,DNS:*.staging.localhost,IP:127.0.0.1"


def certificate(folder: Path, days: int = 30) -> tuple[Path, Path]:
    """A self-signed certificate and its key, valid for `days` from now."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=shop", "-addext", NAMES, "-days", str(days)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run([*command, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key
