"""The three versions of the shop, and every break of its upgrade, in one place.

1.0 is known-good. 2.0 is the upgrade as it first came: six breaks of kinds that others met before, each with
where to read about it. 2.1 is the repaired upgrade: clients see what 1.0 gave them, and one more field, `currency`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What clients of one version can rely on; each False but the last is a break."""

    # pydantic v1 wrote a Decimal as 100.5, v2 writes "100.50"; front-ends then joined amounts instead of
    # adding them (pydantic#7120, pydantic#7457).
    money_is_a_number: bool
    # An access path that is left behind fails nothing and slows only some queries: pg_upgrade up to 17 comes
    # without statistics (postgresql.org patches 176061, 176088), a rebuilt table without its index.
    keeps_event_index: bool
    # `day.replace(year=day.year - 1)` has no answer on 29 February (certbot#2564, cpython#117107).
    knows_leap_days: bool
    # The sum of nothing: k6 0.38 turned the rate of no samples into NaN (k6#2540); SQL makes it NULL, not 0.
    empty_sum_is_zero: bool
    # A retry must not repeat its effect (draft-ietf-httpapi-idempotency-key-header). An upgrade that
    # answers later makes clients retry more, so this one costs money just when all else is slow.
    replays_retried_orders: bool
    # A value of a new type reaches `json.dumps`, as NumPy 2's do (at#940 on 2.3.0). On the error page that
    # means: what should explain a failure fails as well.
    error_page_is_json: bool
    # Not a break: the field that 2.x adds.
    names_currency: bool


def _without_breaks(*, names_currency: bool) -> Behaviour:
    return Behaviour(
        money_is_a_number=True,
        keeps_event_index=True,
        knows_leap_days=True,
        empty_sum_is_zero=True,
        replays_retried_orders=True,
        error_page_is_json=True,
        names_currency=names_currency,
    )


BEHAVIOURS = {
    "1.0": _without_breaks(names_currency=False),
    "2.0": Behaviour(
        money_is_a_number=False,
        keeps_event_index=False,
        knows_leap_days=False,
        empty_sum_is_zero=False,
        replays_retried_orders=False,
        error_page_is_json=False,
        names_currency=True,
    ),
    "2.1": _without_breaks(names_currency=True),
}
