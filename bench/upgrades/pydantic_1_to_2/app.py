"""A small service that is upgraded from pydantic 1.10 to 2 without a change of its own: it starts, and answers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from importlib.metadata import version

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
PRICES = [Decimal(250 + 37 * number) / 100 for number in range(40)]  # 2.50, 2.87, 3.24, ...


class Product(BaseModel):
    """What a client sees of a product."""

    id: int
    name: str
    price: Decimal
    ships_within: timedelta


class Order(BaseModel):
    """What a client sends. The web shop sends `customer` as text, the phone app as a number."""

    customer: str
    product: int
    quantity: int


class Receipt(BaseModel):
    """The answer to an order."""

    customer: str
    total: Decimal


class Review(BaseModel):
    """Stars, and a text for those who like to write. The phone app leaves `text` out."""

    product: int
    stars: int
    text: str | None


@app.get("/health")
def health() -> dict[str, str]:
    """Answers once the service is up."""
    return {"status": "up"}


@app.get("/version")
def versions() -> dict[str, str]:
    """The packages that are rehearsed."""
    return {name: version(name) for name in ("pydantic", "fastapi", "starlette", "uvicorn")}


@app.get("/products")
def products(page: int = 0) -> list[Product]:
    """Ten products."""
    return [product(number) for number in range(len(PRICES))[page * 10 : page * 10 + 10]]


@app.get("/products/{number}")
def product(number: int) -> Product:
    """One product. 404 when there is none."""
    if not 0 <= number < len(PRICES):
        raise HTTPException(404, "no such product")
    days = timedelta(days=1 + number % 3)
    return Product(id=number, name=f"product {number}", price=PRICES[number], ships_within=days)


@app.post("/orders", status_code=201)
def order(wanted: Order) -> Receipt:
    """Order a product."""
    return Receipt(customer=wanted.customer, total=PRICES[wanted.product] * wanted.quantity)


@app.post("/reviews", status_code=201)
def review(given: Review) -> Review:
    """Say what a product is like."""
    return given
