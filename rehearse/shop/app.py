"""The routes of the shop. Plain `def`: each request works in a thread of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHTTPException

from rehearse.shop import answers, auth, catalogue, ordering, reports
from rehearse.shop.facts import RequestCounts, RequestWitness, RowCount, count_rows
from rehearse.shop.versions import BEHAVIOURS, Behaviour

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Shop:
    """All that a request needs to know."""

    engine: Engine
    version: str
    behaviour: Behaviour
    row_counts: list[RowCount]
    request_counts: RequestCounts = field(default_factory=RequestCounts)


# The helpers of a request are `async def`: they are short, and a `def` would cost a thread switch each.
async def _shop_of(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


async def _account_of(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    account = auth.account_of(token, time.time()) if scheme.lower() == "bearer" else None
    if account is None:
        raise HTTPException(401, "log in first: POST /login", {"WWW-Authenticate": "Bearer"})
    return account


TheShop = Annotated[Shop, Depends(_shop_of)]
Account = Annotated[str, Depends(_account_of)]
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
# A day of every century that SQL, Python and the comparison with the year before can all calculate with.
Day = Annotated[date, Query(ge=date(1900, 1, 1), le=date(9998, 12, 31))]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]


class Credentials(BaseModel):
    """The body of POST /login."""

    user: Name
    password: Annotated[str, Field(max_length=100)]


class OrderBody(BaseModel):
    """The body of POST /orders."""

    customer_id: Annotated[int, Field(ge=1, le=2**31 - 1)]
    product_id: Annotated[int, Field(ge=1, le=2**31 - 1)]
    quantity: Annotated[int, Field(ge=1, le=100)]


router = APIRouter()


@router.get("/health")
async def health() -> JSONResponse:
    """Answers as soon as the shop can."""
    return JSONResponse({"status": "ok"})


@router.get("/version")
def version(shop: TheShop) -> JSONResponse:
    """What runs here, on what data."""
    with shop.engine.connect() as connection:
        rows = {count.table.name: count.now(connection) for count in shop.row_counts}
    return JSONResponse({"version": shop.version, "database": shop.engine.dialect.name, "rows": rows})


@router.get("/counters")
async def counters(shop: TheShop) -> JSONResponse:
    """Which requests were answered since the start."""
    return JSONResponse(shop.request_counts.summary())


@router.post("/login")
def login(shop: TheShop, credentials: Credentials) -> JSONResponse:
    """A bearer token for an account of the shop's staff."""
    with shop.engine.connect() as connection:
        is_right = auth.password_is_right(connection, credentials.user, credentials.password)
    if not is_right:
        raise HTTPException(401, "wrong user or password")
    token = auth.issue_token(credentials.user, time.time())
    return JSONResponse({"token": token, "expires_in_s": auth.TOKEN_LIFETIME_S})


@router.get("/products")
def products(
    shop: TheShop,
    category: Annotated[str | None, Query(pattern=r"^[a-z]{1,20}$")] = None,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> JSONResponse:
    """One page of products, with how each of them sells."""
    with shop.engine.connect() as connection:
        listed = catalogue.product_page(connection, shop.behaviour, category, page)
    return JSONResponse({"page": page, "products": listed})


@router.get("/products/{product_id}")
def product(shop: TheShop, product_id: Id) -> JSONResponse:
    """One product, and what is often bought together with it."""
    with shop.engine.connect() as connection:
        card = catalogue.product_card(connection, shop.behaviour, product_id)
    if card is None:
        raise HTTPException(404, f"no product {product_id}")
    return JSONResponse(card)


@router.get("/customers/{customer_id}/orders", dependencies=[Depends(_account_of)])
def customer_orders(shop: TheShop, customer_id: Id, since: Day | None = None) -> JSONResponse:
    """The newest orders of a customer, or those with an event since a day."""
    with shop.engine.connect() as connection:
        if not ordering.customer_exists(connection, customer_id):
            raise HTTPException(404, f"no customer {customer_id}")
        return JSONResponse(ordering.customer_orders(connection, shop.behaviour, customer_id, since))


@router.post("/orders", status_code=201)
def place_order(
    request: Request,
    shop: TheShop,
    account: Account,
    body: OrderBody,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Places an order; the same key and payload again get the first answer again."""
    if not idempotency_key:
        raise HTTPException(400, "send an Idempotency-Key header")
    order = ordering.OrderRequest(
        account=account, key=idempotency_key, request_id=request.scope["request_id"], **body.model_dump()
    )
    try:
        answer_json = ordering.place_order(shop.engine, shop.behaviour, order)
    except (ordering.UnknownReferenceError, ordering.KeyReusedError) as refused:
        raise HTTPException(422, str(refused)) from refused
    return Response(answer_json, status_code=201, media_type="application/json")


@router.get("/orders/count")
def order_count(
    shop: TheShop,
    product_id: Annotated[int, Query(ge=1, le=2**31 - 1)],
    quantity: Annotated[int, Query(ge=1, le=100)],
) -> JSONResponse:
    """How many orders there are of so much of one product: whoever retries an order can see what came of it."""
    with shop.engine.connect() as connection:
        return JSONResponse({"orders": ordering.count_orders(connection, product_id, quantity)})


@router.get("/reports/sales")
def sales(shop: TheShop, day: Day | None = None) -> JSONResponse:
    """The sales of a day, of today if none is named, beside those of the year before."""
    day = day or datetime.now(UTC).date()
    with shop.engine.connect() as connection:
        return JSONResponse(reports.sales_report(connection, shop.behaviour, day))


@router.get("/boom")
def boom() -> JSONResponse:
    """Always fails, to look at the error page."""
    raise RuntimeError("boom, as asked for")


def create_app(engine: Engine, version: str) -> RequestWitness:
    """The shop as one version has it; its database must be seeded and migrated."""
    shop = Shop(engine, version, BEHAVIOURS[version], count_rows(engine))
    app = FastAPI(title="The sample shop", version=version)
    app.state.shop = shop
    app.include_router(router)
    _add_error_pages(app, shop.behaviour)
    return RequestWitness(app, shop.request_counts)


def _add_error_pages(app: FastAPI, behaviour: Behaviour) -> None:
    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, refusal: AnyHTTPException) -> JSONResponse:
        return answers.refusal_page(request, refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, invalid: RequestValidationError) -> JSONResponse:
        return answers.invalid_request_page(request, invalid)

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> JSONResponse:
        return answers.failure_page(request, behaviour)
