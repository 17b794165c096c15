"""A real Django project, made by its own startproject, with a migration for each thing that can go wrong.

Nothing here imports Django: everything happens in the project's own processes, as it does for a user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

SETTINGS = """
INSTALLED_APPS += ["django_migration_linter", "orders"]
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.postgresql", "NAME": {name!r}, "USER": {user!r}, "PASSWORD": {password!r},
    "HOST": {host!r}, "PORT": {port!r},
}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

MODELS = """
from django.db import models

class Order(models.Model):
    total = models.IntegerField()
    note = models.CharField(max_length=20, null=True)
    code = models.CharField(max_length=20, null=True, db_index=True)

class Refund(models.Model):
    total = models.IntegerField()

class Visit(models.Model):
    at = models.IntegerField()
"""

INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True)),
            ("total", models.IntegerField()),
            ("note", models.CharField(max_length=20, null=True)),
            ("code", models.CharField(max_length=20, null=True, db_index=True)),
        ]),
        migrations.CreateModel("Refund", [
            ("id", models.BigAutoField(primary_key=True)), ("total", models.IntegerField()),
        ]),
        migrations.CreateModel("Visit", [
            ("id", models.BigAutoField(primary_key=True)), ("at", models.IntegerField()),
        ]),
    ]
"""

MIGRATION = """
from django.db import migrations, models
{before}

class Migration(migrations.Migration):
    dependencies = [("orders", {after!r})]
    operations = [{operations}]
"""


@dataclass(frozen=True)
class Planted:
    """One migration, and the rules of the linter that it breaks."""

    name: str
    rules: frozenset[str]
    operations: str
    before: str = ""


def planted(name: str, rules: str, operations: str, before: str = "") -> Planted:
    return Planted(name, frozenset(rules.split()), operations, before)


FILL = "def fill(apps, schema_editor):\n    Order = apps.get_model('orders', 'Order')\n    Order.objects.count()\n"
ODD = "def fill(a, b):\n    Order = a.get_model('orders', 'Order')\n    Order.objects.count()\n"
IMPORTED = "from orders.models import Visit\ndef fill(apps, schema_editor):\n    Visit.objects.count()\n"
RENAMED = (
    "def fill(apps, schema_editor):\n    Row = apps.get_model('orders', 'Order')\n    Row.objects.count()\n"
)
NOOP = "migrations.RunPython.noop"

# In this order, each after the one before.
ALL = (
    planted("safe", "", "migrations.AddField('Order', 'comment', models.CharField(max_length=9, null=True))"),
    planted(
        "not_null",
        "NOT_NULL",
        "migrations.AddField('Order', 'place', models.CharField(max_length=9, default='x'))",
    ),
    planted("drop_column", "DROP_COLUMN", "migrations.RemoveField('Order', 'note')"),
    planted("drop_table", "DROP_TABLE", "migrations.DeleteModel('Refund')"),
    planted("rename_column", "RENAME_COLUMN", "migrations.RenameField('Order', 'total', 'total_cents')"),
    planted("rename_table", "RENAME_TABLE", "migrations.AlterModelTable('Visit', 'orders_visits')"),
    planted("alter_column", "ALTER_COLUMN", "migrations.AlterField('Visit', 'at', models.BigIntegerField())"),
    planted("add_unique", "ADD_UNIQUE", "migrations.AlterUniqueTogether('Visit', {('at',)})"),
    planted(
        "create_index",
        "CREATE_INDEX",
        "migrations.AddIndex('Order', models.Index(fields=['place'], name='by_place'))",
    ),
    planted(
        "create_index_exclusive",
        "CREATE_INDEX CREATE_INDEX_EXCLUSIVE",
        "migrations.AddField('Order', 'zone', models.CharField(max_length=9, null=True)),"
        "migrations.AddIndex('Order', models.Index(fields=['zone'], name='by_zone'))",
    ),
    planted("drop_index", "DROP_INDEX", "migrations.RemoveIndex('Order', 'by_place')"),
    planted("reindex", "REINDEX", "migrations.RunSQL('REINDEX TABLE orders_order', migrations.RunSQL.noop)"),
    planted("no_way_back", "RUNPYTHON_REVERSIBLE", "migrations.RunPython(fill)", FILL),
    planted("no_sql_back", "RUNSQL_REVERSIBLE", "migrations.RunSQL('select 1')"),
    planted("model_import", "RUNPYTHON_MODEL_IMPORT", f"migrations.RunPython(fill, {NOOP})", IMPORTED),
    planted("odd_arguments", "", f"migrations.RunPython(fill, {NOOP})", ODD),
    planted("odd_name", "", f"migrations.RunPython(fill, {NOOP})", RENAMED),
)


@dataclass(frozen=True)
class DjangoProject:
    """One project in a folder."""

    folder: Path

    @property
    def manage(self) -> Path:
        return self.folder / "manage.py"

    def run(self, *words: str) -> str:
        """A management command; what it prints."""
        argv = [sys.executable, "manage.py", *words]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """One file of the app."""
        file = self.folder / "orders" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def plant(self, *migrations: Planted) -> dict[str, Planted]:
        """Write them one after the other; by their full names."""
        after, names = "0001_initial", dict[str, Planted]()
        for number, one in enumerate(migrations, start=2):
            name = f"{number:04}_{one.name}"
            self.write(
                f"migrations/{name}.py",
                MIGRATION.format(before=one.before, after=after, operations=one.operations),
            )
            after, names[f"orders.{name}"] = name, one
        return names


def started(folder: Path, url: str, *, with_linter: bool = True) -> DjangoProject:
    """A new project on a PostgreSQL database, with one app and its first migration."""
    folder.mkdir(parents=True)
    django_admin = [sys.executable, "-m", "django", "startproject", "mysite", str(folder)]
    subprocess.run(django_admin, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": ""})
    place = make_url(url)
    settings = SETTINGS.format(
        name=place.database,
        user=place.username or "",
        password=place.password or "",
        host=place.host or "",
        port=str(place.port or ""),
    )
    if not with_linter:
        settings = settings.replace('"django_migration_linter", ', "")
    with (folder / "mysite" / "settings.py").open("a") as file:
        file.write(settings)
    project = DjangoProject(folder)
    project.write("__init__.py", "")
    project.write("models.py", MODELS)
    project.write("migrations/__init__.py", "")
    project.write("migrations/0001_initial.py", INITIAL)
    return project
