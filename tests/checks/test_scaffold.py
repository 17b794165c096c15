"""What `rehearse check new` writes is a check: it runs at once, and whatever people and targets say stays text."""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rehearse.checks.context import CheckContext, CheckedSide
from rehearse.checks.scaffold import Answers, source_of
from rehearse.errors import ConfigError, NotReady
from rehearse.model import Severity, Side

DOCUMENT = {
    "total": 12.5,
    "paid": True,
    "note": None,
    "items": [{"price": 3, 'odd "name"\\': "x"}, {"price": "4"}],
    "empty": [],
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_json = self.path.startswith("/orders")
        body = json.dumps(DOCUMENT).encode() if is_json else b"<p>hello"
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8" if is_json else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def written(url: str, shows: str, broke: str = "Totals were texts", fields: tuple[str, ...] = ()) -> str:
    side = CheckedSide(Side.BASELINE, "baseline", url)
    context = CheckContext(side, None, ("127.0.0.1",), (), False, 10.0, 5.0, Side.BASELINE)
    answers = Answers(
        broke, "by hand", shows, Severity.WARN, "2026-03-02", "2026-11-21", "INC-7", "orders", fields
    )
    source = source_of(answers, context, side)
    ast.parse(source)
    return source


def test_status_content_type_and_types_of_values_become_the_expectation(url: str) -> None:
    source = written(url, "GET /orders/1")
    assert 'answer = candidate.get("/orders/1")' in source
    assert "assert answer.status_code == 200" in source
    assert '== "application/json"' in source
    assert 'assert type(body["total"]) in (int, float), "total"' in source
    assert 'assert type(body["paid"]) is bool, "paid"' in source
    assert 'assert type(body["items"][0]["price"]) in (int, float), "items[0].price"' in source
    assert "note" not in source, "null has no type to keep"
    assert "12.5" not in source, "values may change"
    assert 'id="INC-7"' in source
    assert 'severity="warn"' in source


def test_chosen_fields_only(url: str) -> None:
    source = written(url, "GET /orders/1", fields=("items[0].price",))
    assert source.count("assert type(") == 1
    with pytest.raises(ConfigError, match=r"no such value. It has: total, paid, items\[0\]\.price"):
        written(url, "GET /orders/1", fields=("totl",))


def test_what_is_no_json_has_status_and_content_type(url: str) -> None:
    source = written(url, "GET /page")
    assert '"text/html"' in source
    assert "body" not in source


@pytest.mark.parametrize(
    "text", ['"""\nimport os\nos._exit(1)\n"""', "a\\", 'ends with "', "{x} %s \N{SNOWMAN}", "\0"]
)
def test_a_story_is_only_ever_text(url: str, text: str) -> None:
    tree = ast.parse(written(url, "GET /page", broke=text))
    assert text in (ast.get_docstring(tree, clean=False) or "")
    assert [type(node).__name__ for node in tree.body] == ["Expr", "ImportFrom", "Import", "FunctionDef"]


def test_a_host_that_does_not_answer_is_not_ready() -> None:
    with pytest.raises(NotReady, match="does not answer"):
        written("http://127.0.0.1:1", "GET /orders/1")


def test_a_query_keeps_the_types_of_its_first_row(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table orders (id integer, note text)")
        connection.execute("insert into orders values (1, 'x')")
    url = f"sqlite:///{tmp_path / 'a.db'}"
    source = written(url, "select id, note from orders")
    assert 'database["candidate"]' in source
    assert "== ['int', 'str']" in source
    assert "assert rows == []" in written(url, "select id from orders where id = 9")
    with pytest.raises(ConfigError, match="is a database: write a query"):
        written(url, "GET /orders")
    with pytest.raises(NotReady, match="no such table"):
        written(url, "select * from absent")
