"""What is really in force, as TOML without a secret in it."""

from __future__ import annotations

from typing import Any

import tomli_w

from rehearse.config.cutover import CutoverSettings
from rehearse.config.edges import Edges
from rehearse.config.redaction import in_command, in_header, in_url, longest_first, redact_argv
from rehearse.config.settings import Settings
from rehearse.config.targets import Target
from rehearse.exit_plan import ExitPlan
from rehearse.redaction import names_a_secret, redact

COMMANDS = ("facts", "state", "prepare", "reset", "restart", "start")


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret value, longest first: what must never stand in an artefact, a log or a message."""
    values = [secret.get_secret_value() for secret in settings.secrets]
    values += in_url(settings.store.url.get_secret_value())
    for name, header in settings.prometheus.headers.items():
        values += in_header(name, header.get_secret_value())
    for target in (*settings.targets, *filter(None, [settings.cutover.target])):
        values += in_url(target.url)
        values += in_url(target.proxy_url or "")
        for name, header in target.headers.items():
            values += in_header(name, header.get_secret_value())
        for command in _commands(target):
            values += in_command(command)
    for options in settings.checks.options.values():
        values += (str(value) for name, value in options.items() if names_a_secret(name))
    for command in commands_of_exit(settings.exit_plan.plan):
        values += in_command(command)
    values += _of_edges(settings.edges)
    values += _of_cutover(settings.cutover)
    return longest_first(values)


def _of_cutover(cutover: CutoverSettings) -> list[str]:
    """What probes carry, the password of the database, and what stands in commands."""
    values = in_url(cutover.database.get_secret_value()) if cutover.database is not None else ()
    found = [*values]
    for probe in cutover.probes:
        found += [probe.body.get_secret_value()] if probe.body is not None else []
        for name, header in probe.headers.items():
            found += in_header(name, header.get_secret_value())
    for command in _commands_of_cutover(cutover):
        found += in_command(command)
    return found


def _commands_of_cutover(cutover: CutoverSettings) -> list[tuple[str, ...]]:
    own = [command for one in cutover.by_hand.values() for command in (one.run, one.undo)]
    return [command for command in (*own, *(one.run for one in cutover.same)) if command is not None]


def _of_edges(edges: Edges) -> list[str]:
    """What a login sends, and the passwords of databases that count effects."""
    values = [edges.login.body.get_secret_value()] if edges.login is not None else []
    for case in edges.retries:
        for url in (case.count.baseline, case.count.candidate):
            values += in_url(url.get_secret_value()) if url is not None else ()
    return values


def commands_of_exit(plan: ExitPlan) -> tuple[tuple[str, ...], ...]:
    """Every command of an exit plan."""
    steps = (command for step in plan.steps for command in (step.run, step.undo))
    return tuple(
        command for command in (*steps, *(step.run for step in plan.forward)) if isinstance(command, tuple)
    )


def _commands(target: Target) -> list[tuple[str, ...]]:
    given = [getattr(target, name) for name in COMMANDS]
    given.append(target.auth.command)
    return [command for command in given if isinstance(command, tuple)]


def effective_toml(settings: Settings) -> str:
    """Every key with the value that holds, defaults included; secrets are `***`."""
    document = settings.model_dump(
        by_alias=True, exclude_none=True, exclude={"source", "secrets"}, context={"root": settings.root}
    )
    document["targets"] = {target.pop("<name>"): _shown(target) for target in document["targets"]}
    for target in document["targets"].values():
        target["url"] = _as_in_file(target["url"], settings)
    for step in (*document["exit_plan"]["steps"], *document["exit_plan"]["forward"]):
        step |= {
            name: redact_argv(step[name]) for name in ("run", "undo") if isinstance(step.get(name), tuple)
        }
    if target := document["cutover"].get("target"):
        shown = _shown({key: value for key, value in target.items() if key != "<name>"})
        document["cutover"]["target"] = shown | {"url": _as_in_file(shown["url"], settings)}
    for one in (*document["cutover"]["by_hand"].values(), *document["cutover"]["same"]):
        one |= {name: redact_argv(one[name]) for name in ("run", "undo") if isinstance(one.get(name), tuple)}
    document["store"]["url"] = _as_in_file(settings.store.url.get_secret_value(), settings)
    secrets = secrets_of(settings)
    return tomli_w.dumps(_redacted(document, secrets), multiline_strings=True)


def _shown(target: dict[str, Any]) -> dict[str, Any]:
    commands = {name: target[name] for name in COMMANDS if isinstance(target.get(name), tuple)}
    shown = target | {name: redact_argv(command) for name, command in commands.items()}
    if command := target["auth"].get("command"):
        shown["auth"] = target["auth"] | {"command": redact_argv(command)}
    return shown


def _as_in_file(url: str, settings: Settings) -> str:
    """A SQLite path below the root is relative to it."""
    return url.replace(f":///{settings.root}/", ":///", 1)


def _redacted(value: object, secrets: tuple[str, ...]) -> Any:  # noqa: ANN401  what TOML holds
    if isinstance(value, dict):
        return {key: _redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, secrets) for item in value]
    return redact(value, secrets) if isinstance(value, str) else value
