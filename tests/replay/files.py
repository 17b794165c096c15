"""Written Locust files, read as Python and run by plain Locust."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CALLS = {
    "self.client.get", "self.client.head", "self.client.post", "self.client.put", "self.client.patch",
    "self.client.delete", "self.client.options", "self.client.request", "any_of", "constant", "task", "uuid4",
    "random.choices", "tuple", "paths.values",
}  # fmt: skip


def requests_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Every request of a Locust file: (first argument, the others). Fails when the file could do anything else."""
    tree = ast.parse(text)
    found = []
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Lambda | ast.Await | ast.Global | ast.Delete | ast.JoinedStr)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name in CALLS, name
            if name.startswith("self.client."):
                first = node.args[-1]
                path = first.value if isinstance(first, ast.Constant) else ast.unparse(first)
                found.append((str(path), {str(one.arg): _value(one.value) for one in node.keywords}))
    assert [type(node) for node in tree.body[:2]] == [ast.Expr, ast.ImportFrom]
    assert isinstance(tree.body[-1], ast.ClassDef)
    return found


def _value(node: ast.expr) -> Any:  # whatever was recorded
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def run_plain_locust(file: Path, url: str, seconds: int = 2) -> dict[str, int]:
    """Requests by "METHOD name" of a run of Locust as it comes; fails when one of them failed."""
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(file),
        "--headless",
        "-u",
        "3",
        "-r",
        "3",
        "-t",
        f"{seconds}s",
    ]
    done = subprocess.run(
        [*command, "-H", url, "--json", "--loglevel", "ERROR"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert sum(row["num_failures"] for row in rows) == 0
    return {f"{row['method']} {row['name']}": row["num_requests"] for row in rows}
