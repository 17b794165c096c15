"""What a rehearsal does besides load (checks, exit plan, edge cases): looked at cheaply, and not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from rehearse.allowlist import AllowList, host_and_port
from rehearse.checking import listing
from rehearse.checks.probes.reach import Place
from rehearse.checks.runner import CheckRunner
from rehearse.config import Settings
from rehearse.config.edges import ProxyAddress
from rehearse.config.exit_plan import faults_of
from rehearse.doctor.findings import Examined, Grade
from rehearse.edge_cases.running import kinds_of
from rehearse.edge_cases.scene import place_of
from rehearse.errors import NotReady, RehearseError, TargetRefused
from rehearse.inquiry import INQUIRY_TIMEOUT_S
from rehearse.model import CheckResult, Side
from rehearse.redaction import Clean

CHECKS, EXIT_PLAN, EDGES = "checks", "exit plan", "edges"


# --- without asking anybody ---------------------------------------------------------------------------------------


def check_and_plan_findings(
    settings: Settings, runner: CheckRunner, clean: Clean, today: date
) -> Iterator[Examined]:
    """Whether every check can be collected, and whether the exit plan leads out. Raises ConfigError."""
    planned: tuple[CheckResult, ...] = ()
    if settings.checks.are_due:
        planned, troubles = listing(settings, runner, clean, today.isoformat())
        yield from _check_findings(planned, troubles)
    if not settings.exit_plan.plan.is_empty:
        yield from _plan_findings(settings, planned, today)


def _check_findings(planned: Sequence[CheckResult], troubles: Sequence[str]) -> Iterator[Examined]:
    """A check that cannot be collected keeps every verdict from being GO."""
    for trouble in troubles:
        remedy = "mend it, and see with `rehearse check list`; until then no verdict can be GO"
        yield Examined(CHECKS, Grade.FIX, trouble.rstrip("."), remedy)
    if planned:
        count = f"{len(planned)} check{'' if len(planned) == 1 else 's'}"
        yield Examined(CHECKS, Grade.OK, f"{count} can be asked")
    elif not troubles:
        remedy = "write one with `rehearse check new`, or leave checks.dir and checks.packs out"
        yield Examined(CHECKS, Grade.FIX, "there is a folder for them, and no check in it", remedy)


def _plan_findings(settings: Settings, planned: Sequence[CheckResult], today: date) -> Iterator[Examined]:
    """A rehearsal is possible with any plan; an upgrade is not."""
    found = faults_of(settings, {check.check_id for check in planned}, today)
    errors = [fault for fault in found if fault.level == "error"]
    for fault in errors:
        yield Examined(EXIT_PLAN, Grade.NOTE, f"{fault.where} {fault.sentence}", "mend it before you upgrade")
    warnings = len(found) - len(errors)
    if warnings:
        told = f"{warnings} thing{'' if warnings == 1 else 's'} to think about"
        yield Examined(EXIT_PLAN, Grade.NOTE, told, "`rehearse exit-plan` names them")
    elif not errors:
        yield Examined(EXIT_PLAN, Grade.OK, "leads out from each of its steps")


# --- edge cases ---------------------------------------------------------------------------------------------------


def dependency_findings(settings: Settings, sides: Sequence[Side]) -> Iterator[Examined]:
    """Whether each dependency behind a fault proxy is there; connects once to it. Raises ConfigError for a case that
    cannot be."""
    kinds_of(settings)
    for name, dependency in settings.edges.dependencies.items():
        for side in sides:
            address = dependency.of(side)
            if address is not None:
                yield _dependency(settings, f"{name} of the {side}", address)


def _dependency(settings: Settings, what: str, address: ProxyAddress) -> Examined:
    host, port = host_and_port(f"http://{address.upstream}")
    try:
        Place(host, port, AllowList(settings.safety.allow, settings.safety.production)).connect(
            INQUIRY_TIMEOUT_S
        ).close()
    except TargetRefused as error:
        return Examined(
            EDGES, Grade.FIX, f"{what}: {_one(error)}", "list it in safety.allow, if it may be reached"
        )
    except OSError as error:
        why = error.strerror or str(error)
        return Examined(
            EDGES, Grade.FIX, f"{what} at {address.upstream} cannot be reached ({why})", "start it"
        )
    return Examined(EDGES, Grade.OK, f"{what} at {address.upstream} accepts connections")


def login_findings(settings: Settings, sides: Sequence[Side]) -> Iterator[Examined]:
    """Whether the login of retry and date cases tells a token, on each side. Sends it once to each."""
    login = settings.edges.login
    if login is None:
        return
    for side in sides:
        try:
            place_of(settings, side)
        except (NotReady, TargetRefused) as error:
            remedy = "correct edges.login: path, body, or where the token stands"
            yield Examined(EDGES, Grade.FIX, f"{side}: {_one(error)}", remedy)
        else:
            yield Examined(EDGES, Grade.OK, f"{side}: {login.path} tells a token")


def _one(error: RehearseError) -> str:
    return str(error).rstrip(".")
