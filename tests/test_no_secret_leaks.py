"""Real processes, a server that echoes whatever it is sent, and secrets everywhere: no artefact holds one."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.project import Done, Project, make_project

HEADER = "canary-header/4711+=x&y"
COOKIE = "canary~cookie/0815+x"
BASIC = "canary:basic&2342<x>"
VARIABLE = "canary-väriable/ \"1848' x"
LOGIN = "canary-login-9f8e7d6c5b4a"  # nobody has configured it: the server gives it to whoever signs in
CONFIGURED = {"header": HEADER, "cookie": COOKIE, "basic": BASIC, "variable": VARIABLE}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnktand0In0.Y2FuYXJ5LXNpZw"

MORE_CONFIG = """
[targets.{side}.headers]
X-Canary = "${{HEADER_TOKEN}}"
Cookie = "theme=dark; sid=${{COOKIE}}"
Authorization = "Basic ${{BASIC}}"
"""

SCENARIO = """
import os
import sys

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    def on_start(self):
        with self.client.get("/login", catch_response=True) as answer:
            self.token = answer.json()["access_token"]
        print("signed in with", answer.headers, answer.text)
        print("variable:", repr(os.environ["DB_PASSWORD"]), file=sys.stderr)

    @task(20)
    def look(self):
        self.client.get("/look?access_token=" + self.token, headers={"Authorization": "Bearer " + self.token})

    @task(20)
    def named_after_a_secret(self):
        self.client.get("/name/" + os.environ["HEADER_TOKEN"].encode().hex()[:4], name="/" + os.environ["COOKIE"])

    @task
    def rejected(self):
        with self.client.get("/echo", catch_response=True) as answer:
            answer.failure("rejected " + answer.json()["headers"]["X-Canary"])
"""

CHECKS = """
import base64
import json
import logging
import os
import urllib.parse

import pytest

VARIABLE = os.environ["DB_PASSWORD"]


@pytest.mark.breakage(id="prints")
def test_prints(candidate):
    answer = candidate.get("/echo?password=" + urllib.parse.quote(VARIABLE, safe=""))
    print(answer.text, answer.headers, dict(answer.request.headers), answer.url)
    print(repr(VARIABLE), VARIABLE.encode(), json.dumps(VARIABLE), base64.b64encode(("x" + VARIABLE).encode()))
    os.write(1, ascii(dict(candidate.headers)).encode() + b"\\n")
    logging.getLogger().warning("%s", answer.json())


@pytest.mark.breakage(id="asserts-equality")
def test_asserts_equality(candidate):
    assert candidate.get("/echo").json()["headers"]["X-Canary"] == "other"


@pytest.mark.breakage(id="asserts-in-something-long")
def test_asserts_in_something_long(candidate):
    text = candidate.get("/echo").text
    assert text == "x" * 200 + VARIABLE + "y" * 230


@pytest.mark.breakage(id="asserts-on-headers")
def test_asserts_on_headers(candidate):
    assert "sid" not in dict(candidate.headers), dict(candidate.headers)
    assert dict(candidate.headers) == {}


@pytest.mark.breakage(id="raises")
def test_raises(candidate):
    raise RuntimeError(base64.urlsafe_b64encode(("user:" + VARIABLE).encode()).decode())


@pytest.mark.breakage(id="signs-in")
def test_signs_in(candidate):
    answer = candidate.get("/login")
    print(answer.text, answer.headers)
    assert answer.text == answer.headers["set-cookie"]


@pytest.mark.breakage(id="saw-under-load")
def test_saw_under_load(recorded):
    print(recorded)
    assert not [answer for answer in recorded if "X-Canary" in answer.text], recorded


@pytest.mark.breakage(id="part")
@pytest.mark.parametrize("value", [VARIABLE, os.environ["HEADER_TOKEN"]])
def test_part(value):
    assert not value
"""


class Echo(BaseHTTPRequestHandler):
    """Says again whatever it was told: in its headers, its body, its errors and its log."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sent = {
            name: value.encode("latin-1").decode("utf-8", "replace") for name, value in self.headers.items()
        }
        signed_in = self.path.startswith("/login")
        body = {
            "path": self.path,
            "headers": sent,
            "words": [quote(value, safe="") for value in sent.values()],
        }
        body |= {"in_html": html.escape(sent.get("X-Canary", "")), "jwt": JWT}
        body |= {"access_token": LOGIN} if signed_in else {}
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Set-Cookie", f"session={LOGIN}; Path=/; HttpOnly")
        self.send_header("X-Echo", quote(sent.get("X-Canary", "")))
        self.send_header("Content-Language", quote(sent.get("X-Canary", "")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet: what a target that `rehearse` starts says is another test's."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no trouble."""


@contextmanager
def echoing() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with echoing() as left, echoing() as right:
        project = make_project(tmp_path, left, right)
        config = tmp_path / "rehearse.toml"
        more = "".join(MORE_CONFIG.format(side=side) for side in ("baseline", "candidate"))
        command = (
            'prepare = ["sh", "-c", "env | grep -a canary; echo Set-Cookie: sid=$SEEN_TOKEN"]\n'
            'facts = ["sh", "-c", "printf \'{\\"said\\": \\"%s\\"}\' $COOKIE"]'
        )
        text = config.read_text().replace("[targets.candidate]", f"{command}\n[targets.candidate]", 1)
        one_sided = 'declared_differences = ["facts.said"]'
        text = text.replace("rounds = 1", f"rounds = 1\n{one_sided}", 1)
        config.write_text(text.replace('title = "test"', 'title = "of ${DB_PASSWORD}"', 1) + more)
        (tmp_path / "visit.py").write_text(SCENARIO)
        (tmp_path / "checks").mkdir()
        (tmp_path / "checks" / "test_echo.py").write_text(CHECKS)
        yield project


ENV = {
    "SEEN_TOKEN": LOGIN,
    "HEADER_TOKEN": HEADER,
    "COOKIE": COOKIE,
    "BASIC": base64.b64encode(BASIC.encode()).decode(),
    "DB_PASSWORD": VARIABLE,
}


def spellings(secret: str) -> set[bytes]:
    """A secret in every way that this test looks for; independent of the redaction's own."""
    texts = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret)}
    texts |= {re.sub("%..", lambda found: found[0].lower(), text) for text in texts}
    texts |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    texts |= {json.dumps(secret)[1:-1].replace("/", "\\/"), ascii(secret)[1:-1], repr(secret.encode())[2:-1]}
    texts |= {secret.encode().decode("latin-1"), secret[:14], secret[-10:]}
    for before in range(3):
        data = bytes(before) + secret.encode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            texts.add(encode(data).decode()[(0, 2, 3)[before] : 8 * len(data) // 6])
    return {text.encode() for text in texts}


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and each compressed value in a database of them."""
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name in ("visit.py", "test_echo.py"):
            continue
        yield str(path.relative_to(root)), path.read_bytes()
        if path.suffix == ".gz":
            yield f"{path.name}, unpacked", gzip.decompress(path.read_bytes())
        if path.suffix == ".rehearse":
            yield from exported(path)
        if path.read_bytes()[:15] == b"SQLite format 3":
            yield from cells(path)


def exported(path: Path) -> Iterator[tuple[str, bytes]]:
    lines = zlib.decompress(path.read_bytes().split(b"\n", 2)[2])
    yield f"{path.name}, unpacked", lines
    for line in lines.splitlines():
        kind, *columns = json.loads(line)
        if kind in ("block", "exhibit"):
            body = base64.b64decode(columns[-1])
            yield f"{path.name}: {kind}", b"\n".join((body, *unpacked(body)))


def cells(path: Path) -> Iterator[tuple[str, bytes]]:
    with sqlite3.connect(path) as store:
        for (table,) in store.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in store.execute(f'select * from "{table}"'):  # noqa: S608  # its own tables
                for value in row:
                    if isinstance(value, bytes):
                        yield f"{path.name}: {table}", b"\n".join((value, *unpacked(value)))


def unpacked(value: bytes) -> Iterator[bytes]:
    for start in range(3):  # behind a byte that says which format it is
        for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS, zlib.MAX_WBITS | 16):
            try:
                yield zlib.decompressobj(window).decompress(value[start:])
            except zlib.error:
                continue


@pytest.mark.live
@pytest.mark.timeout(300)
def test_no_secret_is_in_any_artefact_in_any_spelling(project: Project) -> None:
    on_github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(project.root / "pipeline.md")}
    runs = {
        "baseline": project.run("baseline", env=ENV),
        "compare": project.run(
            "compare", "--json", "--set", "judge.certify_share=100%", env={**ENV, **on_github}
        ),
        "check run": project.run("check", "run", env=ENV),
        "check list": project.run("check", "list", env=ENV),
        "verify": project.run("runs", "verify", env=ENV),
    }
    assert runs["compare"].out, runs["baseline"].err
    run_id = json.loads(runs["compare"].out)["run_id"]
    runs["show"] = project.run("runs", "show", run_id, env=ENV)
    runs["export"] = project.run("runs", "export", run_id, "all.rehearse", "--with-baseline", env=ENV)
    runs["table"] = project.run("runs", "export", run_id, "all.csv", "--csv", env=ENV)
    artefacts = [
        *contents(project.root),
        *(said for name, done in runs.items() for said in outputs(name, done)),
    ]
    assert runs["baseline"].code == 0, runs["baseline"].err
    assert runs["compare"].code in (0, 10, 11), runs["compare"].err
    assert runs["check run"].code == 0, runs["check run"].err
    assert "7 already broken" in runs["check run"].out

    for pipeline in ("export", "table", "show", "verify"):
        assert runs[pipeline].code == 0, runs[pipeline].err
    told = dict(artefacts)
    for name in ("junit.xml", "summary.md", "metrics.txt", "result.json", "report.html"):
        assert any(path.endswith(f"/{name}") for path in told), sorted(told)
    assert any(b"***" in content for path, content in told.items() if path.endswith("/junit.xml"))
    assert b"already broken" in told["pipeline.md"]
    assert re.search(rb"^::(error|warning|notice) ", told["stderr of compare"], re.MULTILINE)
    assert any(name == "all.rehearse: block" for name, _ in artefacts)
    logs = [content for name, content in artefacts if name.endswith("checks.log")]
    assert sum(content.count(b"***") > 20 for content in logs) == 3
    assert any(b"signed in with" in content for name, content in artefacts if name.endswith("worker0.log"))
    assert any(b"prepare.log" in name.encode() and b"***" in content for name, content in artefacts)
    assert sum(": blocks" in name for name, _ in artefacts) > 10, "compressed values of the store were read"

    wanted = {**CONFIGURED, "login": LOGIN, "jwt": JWT}
    found = [
        f"{secret} as {spelling!r} in {name}: ...{content[max(0, at - 80) : at + 60]!r}"
        for secret, value in wanted.items()
        for spelling in spellings(value)
        for name, content in artefacts
        if (at := content.find(spelling)) >= 0
    ]
    assert found == [], "\n".join(found[:20])


def outputs(name: str, done: Done) -> Iterator[tuple[str, bytes]]:
    yield f"stdout of {name}", done.out.encode()
    yield f"stderr of {name}", done.err.encode()
