"""The `http` pack finds nothing in servers that are not broken, whoever wrote them; and it looks at certificates."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rehearse.demo import free_ports
from tests.checks.asking import Outcome, outcome_of
from tests.checks.http_pack import CHECKS, failures, outcomes_of, passed
from tests.checks.service import serving

NGINX = """
daemon off; master_process off; pid %(folder)s/pid; worker_processes 1; events {}
http {
  types { text/html html; } gzip on; gzip_vary on; access_log off;
  client_body_temp_path %(folder)s/a; proxy_temp_path %(folder)s/b; fastcgi_temp_path %(folder)s/c;
  uwsgi_temp_path %(folder)s/d; scgi_temp_path %(folder)s/e;
  server {
    listen 127.0.0.1:%(port)d; root %(folder)s; charset utf-8; add_header X-Frame-Options DENY always;
    location /post { limit_except POST { deny all; } return 204; }
  }
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_nothing_is_wrong_with_pythons_file_server(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>é</p>", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Quiet(*args, directory=str(tmp_path)))
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        outcomes = outcomes_of(url, url, {"paths": ["/", "/page.html"], "idle_s": 0.2})
    finally:
        server.shutdown()
        server.server_close()
    assert failures(outcomes) == {}
    assert passed(outcomes) >= 20


@pytest.fixture
def nginx(tmp_path: Path, nginx_path: Path) -> Iterator[str]:
    """A real one that serves a page."""
    port = free_ports(1)[0]
    (tmp_path / "page.html").write_text("<p>page</p>" * 200, encoding="utf-8")
    (tmp_path / "nginx.conf").write_text(NGINX % {"folder": tmp_path, "port": port}, encoding="utf-8")
    options = ["-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "log")]
    with subprocess.Popen([str(nginx_path), *options]) as process:
        try:
            until_connected(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def until_connected(port: int) -> None:
    give_up_at_s = time.monotonic() + 20
    while time.monotonic() < give_up_at_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"nobody listens on {port}")


def test_nothing_is_wrong_with_nginx(nginx: str) -> None:
    options: dict[str, object] = {
        "paths": ["/page.html", "/page.html?a=1&b=2"],
        "posts": ["/post"],
        "idle_s": 0.2,
    }
    outcomes = outcomes_of(nginx, nginx, options)
    assert failures(outcomes) == {}
    assert passed(outcomes) >= 25


# https


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Self-signed, and at its end in two days."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    output = ["-keyout", str(key), "-out", str(cert)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *output]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_certificates_are_looked_at(certificate: tuple[Path, Path]) -> None:
    trusting = ssl.create_default_context(cafile=certificate[0])
    with serving(certificate=certificate) as url:

        def outcome(check: str, verify: ssl.SSLContext | bool, **options: object) -> Outcome:
            return outcome_of(CHECKS[check], url, url, options, verify=verify)

        assert outcome("tls-chain", trusting) == outcome("tls-chain", False) == Outcome("passed")
        assert "self-signed certificate" in outcome("tls-chain", True).sentence
        assert re.search(
            r"the certificate ends on .*, in (1\.9|2\.0) days", outcome("tls-expiry", trusting).sentence
        )
        assert outcome("tls-expiry", trusting, certificate_days=1) == Outcome("passed")
        assert outcome("tls-expiry", False).word == "not run"


@pytest.mark.parametrize("check", ["fresh-connections", "framing", "keep-alive", "http-1.0"])
def test_connections_are_looked_at_through_tls_too(certificate: tuple[Path, Path], check: str) -> None:
    trusting = ssl.create_default_context(cafile=certificate[0])
    with serving(certificate=certificate) as url:
        outcome = outcome_of(CHECKS[check], url, url, {"idle_s": 0.2}, verify=trusting)
    assert outcome == Outcome("passed")
