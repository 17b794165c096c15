"""How answers are written: money, and the page for errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from rehearse.shop.versions import Behaviour

CURRENCY = "EUR"


def money(cents: int | None, behaviour: Behaviour) -> float | str | None:
    """An amount in whole currency units; None stays None."""
    if cents is None:
        return None
    return cents / 100 if behaviour.money_is_a_number else f"{cents / 100:.2f}"


def with_currency(answer: dict[str, object], behaviour: Behaviour) -> dict[str, object]:
    """Adds the field that 2.x has."""
    return {**answer, "currency": CURRENCY} if behaviour.names_currency else answer


def refusal_page(request: Request, refusal: HTTPException) -> JSONResponse:
    """The page for what the shop refuses on purpose: 400, 401, 404, ..."""
    return _page(request, refusal.status_code, str(refusal.detail), refusal.headers)


def invalid_request_page(request: Request, invalid: RequestValidationError) -> JSONResponse:
    """Names each wrong value, and does not repeat it."""
    wrong = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in invalid.errors()]
    return _page(request, 422, "; ".join(wrong))


def failure_page(request: Request, behaviour: Behaviour) -> JSONResponse:
    """The page for an error that nobody expected; says when it was, so that it is found in the log."""
    failed_at: object = datetime.now(UTC)
    # 2.0 hands the time itself to `json.dumps`, which knows no such type: the error page fails in its turn.
    if behaviour.error_page_is_json:
        failed_at = str(failed_at)
    page = {"error": "internal error", "request_id": request.scope["request_id"], "failed_at": failed_at}
    return JSONResponse(page, status_code=500)


def _page(
    request: Request, status: int, error: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    page = {"error": error, "request_id": request.scope["request_id"]}
    return JSONResponse(page, status_code=status, headers=headers)
