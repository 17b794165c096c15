"""One self-contained page: no script, no external resource, nothing that data could turn into markup."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rehearse.codec import to_bytes
from rehearse.model import Result
from rehearse.report import units
from rehearse.report.headline import some
from rehearse.report.page import page_of
from rehearse.report.ranking import turned
from rehearse.report.visible import shortened, visible

_WORDS = {
    "brief": units.brief,
    "amount": units.amount,
    "change": units.change,
    "count": units.count,
    "duration": units.duration,
    "instant": units.instant,
    "interval": units.interval,
    "lasting": units.length,
    "number": units.number,
    "probability": units.probability,
    "rate": units.rate,
    "share": units.share,
}


def render_html(result: Result) -> str:
    """The report page of `result`; the same result gives the same bytes."""
    return page_of_template(
        "report.html",
        page=page_of(result),
        result=result,
        json_sha256=hashlib.sha256(to_bytes(result)).hexdigest(),
    )


def page_of_template(name: str, **words: object) -> str:
    """One of the pages with our style, whose hash its content security policy names."""
    environment = _environment()
    style = environment.get_template("style.css").render()
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(name).render(style_hash=style_hash, **words)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rehearse.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_WORDS)
    environment.filters["shortened"] = shortened
    environment.filters["some"] = some
    environment.filters["margin_of"] = lambda judgement: turned(judgement, judgement.margin)
    environment.filters["bound_of"] = lambda judgement: turned(judgement, judgement.upper_bound)
    return environment


def _shown(value: object) -> object:
    """The last step of each `{{ }}`: what is missing gets a dash, what misleads is made visible."""
    if value is None:
        return units.MISSING
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value
