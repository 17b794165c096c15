"""The rules of the linters: which part of an upgrade each endangers, and how the same is done in two releases.

django-migration-linter: docs/incompatibilities.md of its repository. squawk 2.70: https://squawkhq.com/docs/rules,
those that it applies without being asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Danger(StrEnum):
    """What a migration can break, in the mixed windows of an upgrade and around them."""

    BASELINE = "the baseline on the candidate's schema"  # migrated first, or rolled back without the schema
    CANDIDATE = "the candidate on the baseline's schema"  # deployed first, or the schema was taken back
    LOCK = "a lock"  # while the migration runs
    WAY_BACK = "the way back"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a linter. Without a danger it is about style, and decides nothing."""

    name: str
    dangers: tuple[Danger, ...] = ()
    advice: str = ""


_BOTH = (Danger.BASELINE, Danger.CANDIDATE)

_NULLABLE_FIRST = (
    "first release: nullable, or with a default in the database; then populate it; second release: constrain"
)
_NEVER_RENAME = (
    "never rename; first release: add the new name, write both, populate it; second release: drop the old one"
)
_DROP_LATER = (
    "first release: stop using it; second release: drop it, when no way back leads to code that uses it"
)
_DROP_COLUMN = f"{_DROP_LATER}; until then it must be nullable or have a default"
_NEW_COLUMN = (
    "first release: add a column of the new type, write both, populate it; second release: drop the old one"
)
_STOP_USING = "first release: code that does not rely on it; second release: change it"
_CONCURRENTLY = "do it CONCURRENTLY, in a migration of its own that is not in a transaction"
_UNIQUE = (
    "first release: keep it unique in the application, repair what is not; then CREATE UNIQUE INDEX CONCURRENTLY, and"
    " add the constraint USING that INDEX"
)
_NOT_VALID = (
    "add it NOT VALID, populate, and VALIDATE CONSTRAINT in a later migration: that one does not block"
)
_IN_BATCHES = "add it without, set the default in a statement of its own, and populate in small batches"
_REVERSE = (
    "write what takes it back, and rehearse it; else this step is the point of no return of the exit plan"
)
_TIMEOUTS = "begin with SET lock_timeout = '1s' and SET statement_timeout: a migration that waits makes all others wait"
_NO_TRUNCATE = "delete in batches what must go, and look first what refers to it"
_FROZEN_MODELS = (
    "take models from apps.get_model(): those of the code change, and an old migration then fails"
)

DJANGO = (
    Rule("NOT_NULL", (Danger.BASELINE, Danger.LOCK), _NULLABLE_FIRST),
    Rule("DROP_COLUMN", (*_BOTH, Danger.WAY_BACK), _DROP_COLUMN),
    Rule("DROP_TABLE", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("RENAME_COLUMN", _BOTH, _NEVER_RENAME),
    Rule("RENAME_TABLE", _BOTH, _NEVER_RENAME),
    Rule("ALTER_COLUMN", (*_BOTH, Danger.LOCK), _NEW_COLUMN),
    Rule("ADD_UNIQUE", (Danger.BASELINE, Danger.LOCK), _UNIQUE),
    Rule("CREATE_INDEX", (Danger.LOCK,), _CONCURRENTLY),
    Rule("CREATE_INDEX_EXCLUSIVE", (Danger.LOCK,), _CONCURRENTLY),
    Rule("DROP_INDEX", (Danger.LOCK,), _CONCURRENTLY),
    Rule("REINDEX", (Danger.LOCK,), _CONCURRENTLY),
    Rule("RUNPYTHON_REVERSIBLE", (Danger.WAY_BACK,), _REVERSE),
    Rule("RUNSQL_REVERSIBLE", (Danger.WAY_BACK,), _REVERSE),
    Rule("RUNPYTHON_MODEL_IMPORT", (Danger.CANDIDATE,), _FROZEN_MODELS),
    Rule("RUNPYTHON_ARGS_NAMING_CONVENTION"),
    Rule("RUNPYTHON_MODEL_VARIABLE_NAME"),
)

SQUAWK = (
    Rule("adding-field-with-default", (Danger.LOCK,), _IN_BATCHES),
    Rule("adding-foreign-key-constraint", (Danger.LOCK,), _NOT_VALID),
    Rule("adding-not-nullable-field", (Danger.BASELINE, Danger.LOCK), _NULLABLE_FIRST),
    Rule("adding-required-field", (Danger.BASELINE,), _NULLABLE_FIRST),
    Rule("adding-serial-primary-key-field", (Danger.LOCK,), _CONCURRENTLY),
    Rule("ban-alter-identity", (Danger.BASELINE,), _STOP_USING),
    Rule("ban-alter-domain-with-add-constraint", (Danger.BASELINE, Danger.LOCK), _NOT_VALID),
    Rule("ban-concurrent-index-creation-in-transaction", (Danger.LOCK,), _CONCURRENTLY),
    Rule("ban-create-domain-with-constraint", (Danger.LOCK,), _NOT_VALID),
    Rule("ban-drop-column", (*_BOTH, Danger.WAY_BACK), _DROP_COLUMN),
    Rule("ban-drop-database", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("ban-drop-constraint", (Danger.BASELINE,), _STOP_USING),
    Rule("ban-drop-domain", (Danger.BASELINE,), _DROP_LATER),
    Rule("ban-drop-extension", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("ban-drop-function", (Danger.BASELINE,), _DROP_LATER),
    Rule("ban-drop-generated-expression", (Danger.BASELINE,), _STOP_USING),
    Rule(
        "ban-drop-not-null",
        (Danger.BASELINE,),
        "make every reader ready for null first, in a release of its own",
    ),
    Rule("ban-drop-schema", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("ban-drop-sequence", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("ban-drop-table", (Danger.BASELINE, Danger.WAY_BACK), _DROP_LATER),
    Rule("ban-drop-type", (Danger.BASELINE,), _DROP_LATER),
    Rule("ban-drop-view", (Danger.BASELINE,), _DROP_LATER),
    Rule("ban-set-schema", _BOTH, _NEVER_RENAME),
    Rule("ban-truncate-cascade", (Danger.BASELINE, Danger.WAY_BACK), _NO_TRUNCATE),
    Rule("ban-uncommitted-transaction", (Danger.LOCK,), "commit it: its locks are held until then"),
    Rule("changing-column-type", (*_BOTH, Danger.LOCK), _NEW_COLUMN),
    Rule("constraint-missing-not-valid", (Danger.LOCK,), _NOT_VALID),
    Rule("disallowed-unique-constraint", (Danger.BASELINE, Danger.LOCK), _UNIQUE),
    Rule("renaming-object", _BOTH, _NEVER_RENAME),
    Rule("renaming-column", _BOTH, _NEVER_RENAME),
    Rule("renaming-table", _BOTH, _NEVER_RENAME),
    Rule("require-concurrent-index-creation", (Danger.LOCK,), _CONCURRENTLY),
    Rule("require-concurrent-index-deletion", (Danger.LOCK,), _CONCURRENTLY),
    Rule("require-concurrent-partition-detach", (Danger.LOCK,), _CONCURRENTLY),
    Rule("require-concurrent-reindex", (Danger.LOCK,), _CONCURRENTLY),
    Rule("require-lock-timeout", (Danger.LOCK,), _TIMEOUTS),
    Rule("require-statement-timeout", (Danger.LOCK,), _TIMEOUTS),
    Rule(
        "transaction-nesting",
        (Danger.LOCK,),
        "one transaction for each file: a COMMIT inside it ends the outer one",
    ),
    Rule("ban-char-field"),
    Rule("identifier-too-long"),
    Rule("prefer-bigint-over-int"),
    Rule("prefer-bigint-over-smallint"),
    Rule("prefer-identity"),
    Rule("prefer-robust-stmts"),
    Rule("prefer-text-field"),
    Rule("prefer-timestamp-tz"),
    Rule("require-enum-value-ordering"),
    Rule("require-table-schema"),
    Rule("unused-ignore"),
)

# What django-migration-linter prints for each rule: it has no other output. The longest fitting text counts.
DJANGO_MESSAGES = {
    "RENAMING tables": "RENAME_TABLE",
    "NOT NULL constraint on columns": "NOT_NULL",
    "DROPPING columns": "DROP_COLUMN",
    "DROPPING table": "DROP_TABLE",
    "RENAMING columns": "RENAME_COLUMN",
    "ALTERING columns": "ALTER_COLUMN",
    "ADDING unique constraint": "ADD_UNIQUE",
    "CREATE INDEX locks table": "CREATE_INDEX",
    "CREATE INDEX prolongs transaction": "CREATE_INDEX_EXCLUSIVE",
    "DROP INDEX locks table": "DROP_INDEX",
    "REINDEX locks table": "REINDEX",
    "RunPython data migration is not reversible": "RUNPYTHON_REVERSIBLE",
    "RunSQL data migration is not reversible": "RUNSQL_REVERSIBLE",
    "Could not find an 'apps.get_model": "RUNPYTHON_MODEL_IMPORT",
    "By convention, RunPython names the two arguments": "RUNPYTHON_ARGS_NAMING_CONVENTION",
    "Model variable name": "RUNPYTHON_MODEL_VARIABLE_NAME",
}


def rule_named(name: str, rules: tuple[Rule, ...]) -> Rule | None:
    """The rule of that name; None for one that a newer linter has."""
    return next((rule for rule in rules if rule.name == name), None)
