"""The shop, recorded by a real browser and by a real nginx: what is written runs under plain Locust and `rehearse`."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rehearse.load.engine import BlockClosed, Trouble
from rehearse.load.schedule import read_recorded
from rehearse.model import Scope, Side
from rehearse.replay.making import SourceKind, Wish, make_scenario
from tests.load.test_locust_files import counts, order_of, run
from tests.replay.files import requests_of, run_plain_locust
from tests.report.browser import Browser
from tests.servers import Site, serving

CANARY = "canary-4kX9vQ2mLr7T"
# DevTools' own front-end, looking at the other tab, builds the HAR that "Save all as HAR" saves.
KEEP_LOG = """(async () => {
  const common = await import('devtools://devtools/bundled/core/common/common.js');
  common.Settings.Settings.instance().moduleSetting('network-log.preserve-log').set(true);
})()"""
EXPORT = """(async () => {
  const logs = await import('devtools://devtools/bundled/models/logs/logs.js');
  const har = await import('devtools://devtools/bundled/models/har/har.js');
  const requests = logs.NetworkLog.NetworkLog.instance().requests();
  return JSON.stringify({log: await har.Log.Log.build(requests, {sanitize: false})});
})()"""


@pytest.mark.live  # a browser, plain Locust and `rehearse`, one after the other
def test_a_har_that_chromium_exported_runs_under_plain_locust_and_under_rehearse(
    good_shop: httpx.Client, chromium_path: Path, tmp_path: Path
) -> None:
    url = str(good_shop.base_url).rstrip("/")
    with serving(headers={"Access-Control-Allow-Origin": "*"}) as elsewhere:
        exported = exported_har(chromium_path, tmp_path / "profile", url, elsewhere)
    assert CANARY in exported
    (tmp_path / "shop.har").write_text(exported, encoding="utf-8")

    output = tmp_path / "shop_recorded.py"
    told = "\n".join(make_scenario(Wish(SourceKind.HAR, tmp_path / "shop.har", output), "rehearse scenario"))
    text = output.read_text(encoding="utf-8")
    assert CANARY not in text + told
    assert "Authorization" in text, "that it was there is said"
    names = {str(options.get("name", path)) for path, options in requests_of(text)}
    assert {"/products", "/products/[id]", "/health"} <= names
    assert "1 × requests to other hosts" in told
    assert "POST (--side-effects keeps them)" in told

    ran = run_plain_locust(output, url)
    assert {"GET /products", "GET /products/[id]"} <= set(ran)
    site = Site("127.0.0.1", int(url.rpartition(":")[2]))
    events = run(order_of(tmp_path, {output.stem: text}, (site,)))
    assert [event.incident.sentence for event in events if isinstance(event, Trouble)] == []
    assert counts(events, Side.BASELINE, Scope.ENDPOINT)["GET /products/[id]"] > 0
    errors = [one.errors for event in events if isinstance(event, BlockClosed) for one in event.block.series]
    assert not any(errors)


def exported_har(chromium: Path, profile: Path, url: str, elsewhere: Site) -> str:
    """Two pages of the shop, with what their scripts ask for: secrets, another host, a method that writes."""
    ask = f"""(async () => {{
      const headers = {{'Authorization': 'Bearer {CANARY}', 'Accept': 'application/json'}};
      await fetch('/products/2?access_token={CANARY}', {{headers}});
      await fetch('{elsewhere.url}/tracker');
      const body = JSON.stringify({{user: 'clerk-1', password: '{CANARY}'}});
      await fetch('/login', {{method: 'POST', body, headers: {{'Content-Type': 'application/json'}}}});
    }})()"""
    with Browser(chromium, profile, debugging_port=True) as browser, browser.devtools() as devtools:
        devtools.run(KEEP_LOG)
        give_up_at_s = time.monotonic() + 30
        while "/products?" not in devtools.run(EXPORT):  # from the moment on at which it looks
            browser.visit(f"{url}/products?category=tea")
            assert time.monotonic() < give_up_at_s
        browser.run(ask)
        browser.visit(f"{url}/health")
        while not {f"{url}/health", f"{url}/login"} <= answered(exported := str(devtools.run(EXPORT))):
            assert time.monotonic() < give_up_at_s
            time.sleep(0.1)
        return exported


def answered(exported: str) -> set[str]:
    entries = json.loads(exported)["log"]["entries"]
    return {one["request"]["url"] for one in entries if one["response"]["status"] >= 200}


NGINX_CONF = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log combined;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location /missing {{ return 404; }}
    location / {{ return 200 'ok'; }}
  }}
}}
"""


@pytest.mark.usefixtures("nginx_path")
def test_a_log_that_nginx_wrote_runs_under_plain_locust(nginx_path: Path, tmp_path: Path) -> None:
    with nginx(nginx_path, tmp_path) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for number in range(12):
            client.get(f"/products/{number % 4}", params={"note": 'say "hi" ü', "token": CANARY})
        client.head("/health")
        client.get("/missing")
        client.post("/orders", json={"n": 1})
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"\x16\x03\x01\x00\r\n\r\n")
            raw.recv(100)
        time.sleep(1.1)  # the log knows whole seconds: a schedule needs two of them
        client.get("/late")
        log, output = tmp_path / "access.log", tmp_path / "access_recorded.py"
        told = "\n".join(make_scenario(Wish(SourceKind.ACCESS_LOG, log, output), "rehearse scenario"))
        text = output.read_text(encoding="utf-8")
        assert CANARY in log.read_text(encoding="utf-8")
        assert CANARY not in text + told
        assert "1 × broken lines" in told
        assert "1 × POST" in told
        assert "1 × requests that failed" in told
        times_s = read_recorded(output.with_suffix(".arrivals").read_text(encoding="utf-8"), "arrivals")
        assert len(times_s) == 14
        assert 1 <= times_s[-1] < 10
        ran = run_plain_locust(output, f"http://127.0.0.1:{port}")
    assert "GET /products/[id]" in ran


@contextmanager
def nginx(program: Path, folder: Path) -> Iterator[int]:
    """On a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, port=port), encoding="utf-8")
    with subprocess.Popen(
        [program, "-c", str(conf), "-p", str(folder)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            give_up_at_s = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < give_up_at_s
                    time.sleep(0.02)
            yield port
        finally:
            process.terminate()
