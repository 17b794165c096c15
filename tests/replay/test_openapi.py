"""An OpenAPI document becomes one request for each operation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearse.codec import JsonData
from rehearse.errors import ConfigError
from rehearse.replay.openapi import read_openapi
from rehearse.replay.recording import Body, Recording, Step

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://shop.example/api/"}],
    "security": [{"bearer": []}],
    "components": {
        "securitySchemes": {"bearer": {"type": "http"}},
        "parameters": {
            "Page": {
                "name": "page",
                "in": "query",
                "required": True,
                "schema": {"$ref": "#/components/schemas/Page"},
            }
        },
        "schemas": {
            "Page": {"type": "integer", "minimum": 1},
            "Order": {
                "type": "object",
                "required": ["product", "quantity", "lines", "when", "inner", "password"],
                "properties": {
                    "product": {"type": "integer", "minimum": 5},
                    "quantity": {"enum": [2, 3]},
                    "lines": {"type": "array", "items": {"type": "string", "minLength": 9}},
                    "when": {"type": ["null", "string"], "format": "date"},
                    "inner": {"$ref": "#/components/schemas/Order"},
                    "password": {"type": "string", "default": "x"},
                    "note": {"type": "string"},
                },
            },
        },
    },
    "paths": {
        "/health": {"get": {"security": []}},
        "/products": {
            "get": {
                "operationId": "listProducts",
                "parameters": [
                    {"$ref": "#/components/parameters/Page"},
                    {"name": "category", "in": "query", "example": "tea & more"},
                    {"name": "sort", "in": "query", "schema": {"type": "string"}},
                    {"name": "X-Tenant", "in": "header", "required": True, "schema": {"const": "staging"}},
                    {"name": "X-Api-Key", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
            }
        },
        "/products/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {"deprecated": True},
            "head": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "examples": {"a": {"value": 17}}}
                ]
            },
            "delete": {},
        },
        "/orders": {
            "post": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
                }
            }
        },
        "/odd/{missing}": {"get": {}},
    },
}


def read(document: dict[str, Any] = DOCUMENT, **options: bool) -> Recording:
    return read_openapi(json.dumps(document).encode(), "shop.json", **options)


def steps(recording: Recording) -> dict[str, Step]:
    return {journey.title: step for journey in recording.journeys for step in journey.steps}


def test_each_operation_that_only_reads_is_a_request() -> None:
    found = {title: next(iter(step.paths)) for title, step in steps(read()).items()}
    assert found == {
        "GET /api/health": "/api/health",
        "GET listProducts": "/api/products?page=1&category=tea%20%26%20more",
        "GET /api/products/[id] (deprecated)": "/api/products/1",
        "HEAD /api/products/[id]": "/api/products/17",
    }
    assert steps(read())["GET listProducts"].headers == {"X-Tenant": "staging"}


def test_what_is_left_out_made_up_or_needs_a_login_is_said() -> None:
    recording = read()
    assert recording.left_out == {
        "DELETE (--side-effects keeps them)": 1,
        "POST (--side-effects keeps them)": 1,
        "paths with parameters that are not described": 1,
    }
    assert recording.base_url == "https://shop.example/api/"
    assert "3 operations ask for authentication: bearer (http)" in recording.notes[0]
    assert "made up from types" in recording.notes[1]
    assert "id, page" in recording.notes[1] or "page, id" in recording.notes[1]


def test_a_body_is_made_from_what_its_schema_needs_however_it_refers_to_itself() -> None:
    body = steps(read(side_effects=True))["POST /api/orders"].body
    assert body is not None
    assert isinstance(body.json, dict)
    outer = {key: value for key, value in body.json.items() if key != "inner"}
    assert outer == {
        "product": 5,
        "quantity": 2,
        "lines": ["examplexx"],
        "when": "2028-02-29",
        "password": "SCRUBBED",
    }
    assert 1 < str(body.json).count("'inner'") <= 9


def body_of(schema: dict[str, Any]) -> JsonData:
    content = {"application/json": {"schema": schema}}
    document = DOCUMENT | {"paths": {"/x": {"post": {"requestBody": {"content": content}}}}}
    document["components"] = {"schemas": {"It": schema}}
    (step,) = steps(read(document, side_effects=True)).values()
    assert step.body is not None
    return step.body.json


@pytest.mark.parametrize(
    "schema",
    [
        {
            "required": list("abcdef"),
            "properties": {key: {"$ref": "#/components/schemas/It"} for key in "abcdef"},
        },
        {"type": "array", "minItems": 5, "items": {"$ref": "#/components/schemas/It"}},
    ],
    ids=["fields", "items"],
)
def test_a_schema_that_refers_to_itself_many_times_makes_no_mountain(schema: dict[str, Any]) -> None:
    assert len(json.dumps(body_of(schema))) < 20_000


def test_secrets_of_examples_are_taken_out_of_bodies_headers_and_the_server() -> None:
    parameter = {"name": "X-Tenant", "in": "header", "example": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"}
    content = {"application/json": {"example": {"user": "ann", "password": {"value": "hunter2"}}}}
    operation = {"parameters": [parameter], "requestBody": {"content": content}}
    document = {
        "openapi": "3.0.0",
        "servers": [{"url": "https://u:hunter2@h"}],
        "paths": {"/x": {"post": operation}},
    }
    recording = read(document, side_effects=True)
    (step,) = steps(recording).values()
    assert step.body == Body(json={"user": "ann", "password": {"value": "SCRUBBED"}})
    assert (step.headers, recording.base_url) == ({"X-Tenant": "SCRUBBED"}, "https://h")
    assert recording.scrubbed == {"user and password of a URL": 1, "body value": 1, "header x-tenant": 1}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "number", "exclusiveMinimum": 7}, "8"),
        ({"type": "integer", "minimum": -5, "maximum": -2}, "-5"),
        ({"type": "integer", "maximum": -2}, "-2"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "1"),
        ({"type": "boolean"}, "true"),
        ({"type": "string", "maxLength": 3}, "exa"),
        ({"type": "string", "format": "date-time"}, "2028-02-29T12%3A00%3A00Z"),
        ({"allOf": [{"type": "string"}, {"maxLength": 1}]}, "example"),
        ({"anyOf": [{"type": "null"}, {"enum": ["a b"]}]}, "a%20b"),
        ({"$ref": "#/nowhere"}, "example"),
        ({"$ref": "https://elsewhere.example/schema"}, "example"),
        ({}, "example"),
    ],
)
def test_a_value_follows_its_schema(schema: dict[str, Any], expected: str) -> None:
    parameter = {"name": "v", "in": "path", "required": True, "schema": schema}
    document = {"openapi": "3.0.3", "paths": {"/x/{v}": {"get": {"parameters": [parameter]}}}}
    assert [next(iter(step.paths)) for step in steps(read(document)).values()] == [f"/x/{expected}"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"openapi: 3.0.0\n", "shop.yaml", "is YAML, which is not read"),
        (b"openapi: 3.0.0\n", "shop.json", "is not JSON"),
        (b'{"swagger": "2.0"}', "shop.json", "It is Swagger 2.0"),
        (b"[]", "shop.json", "no OpenAPI 3 document"),
        (b'{"openapi": "3.0.0"}', "shop.json", "no operation is left to request"),
        (b'{"openapi": "3.0.0", "paths": {"/x": {"post": {}}}}', "shop.json", "--side-effects keeps"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(content: bytes, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_openapi(content, name)
