"""What the linter calls unsafe does break the baseline's code under load, and what it lets through does not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import pytest

from rehearse.migrations import lint
from rehearse.migrations.linting import Sources, endangering
from rehearse.migrations.rules import Danger
from tests.migrations.django_project import ALL, DjangoProject, started

pytestmark = pytest.mark.live

# The baseline's own code: it knows its own models and nothing else.
LOAD = """
import json, os, sys, threading, time
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
django.setup()
from django.db import Error
from orders.models import Order, Refund, Visit

def attempt(what, action):
    began_s = time.monotonic()
    try:
        action()
        error = ""
    except Error as failed:
        error = type(failed).__name__
    print(json.dumps([what, began_s, error]), flush=True)

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.is_set():
    attempt("insert", lambda: Order.objects.create(total=1))
    attempt("select", lambda: list(Order.objects.order_by("-id")[:5]))
    attempt("select refunds", lambda: list(Refund.objects.all()[:5]))
    attempt("select visits", lambda: list(Visit.objects.all()[:5]))
    time.sleep(0.02)
"""


@dataclass
class Load:
    """What the baseline's code met: [what, when, the error's class or nothing]."""

    attempts: list[tuple[str, float, str]] = field(default_factory=list)

    def failed(self, from_s: float, to_s: float) -> dict[str, set[str]]:
        """The errors of what began in a time."""
        found: dict[str, set[str]] = {}
        for what, at_s, error in self.attempts:
            if error and from_s <= at_s < to_s:
                found.setdefault(what, set()).add(error)
        return found

    def wait_for_more(self, count: int) -> float:
        """Until so many more attempts have ended; the moment then."""
        wanted, ends_s = len(self.attempts) + count, monotonic() + 20
        while len(self.attempts) < wanted:
            assert monotonic() < ends_s, "the load has stopped"
            sleep(0.02)
        return monotonic()


@contextmanager
def load_of(project: DjangoProject) -> Iterator[Load]:
    """The baseline's code at work, until the block ends."""
    load = Load()
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD],
        cwd=project.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def read() -> None:
        for line in process.stdout or ():
            what, at_s, error = json.loads(line)
            load.attempts.append((what, at_s, error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield load
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(10)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()


BREAKS = {
    "safe": {},
    "not_null": {"insert": {"IntegrityError"}},
    "drop_column": {"insert": {"ProgrammingError"}, "select": {"ProgrammingError"}},
    "rename_column": {"insert": {"ProgrammingError"}, "select": {"ProgrammingError"}},
    "drop_table": {"select refunds": {"ProgrammingError"}},
    "rename_table": {"select visits": {"ProgrammingError"}},
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_baselines_code_breaks_on_the_candidates_schema_as_the_linter_says(
    name: str, tmp_path: Path, postgres_url: str
) -> None:
    (migration,) = (one for one in ALL if one.name == name)
    baseline = started(tmp_path / "baseline", postgres_url)
    baseline.run("migrate", "orders")
    candidate = started(tmp_path / "candidate", postgres_url)
    candidate.plant(migration)
    found = lint(Sources(django=("manage.py",)), candidate.folder)
    assert bool(endangering(found, Danger.BASELINE)) == bool(BREAKS[name])

    with load_of(baseline) as load:
        before_s = load.wait_for_more(12)
        candidate.run("migrate", "orders")
        migrated_s = load.wait_for_more(4)
        ended_s = load.wait_for_more(12)
    assert load.failed(0, before_s) == {}
    assert load.failed(migrated_s, ended_s) == BREAKS[name]
