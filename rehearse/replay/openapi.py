"""An OpenAPI 3 document: one request for each operation, its parameters from examples, defaults, enums and types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from rehearse.codec import CodecError, JsonData, parse_json
from rehearse.errors import ConfigError
from rehearse.replay.naming import route_name
from rehearse.replay.recording import SAFE_METHODS, Body, Journey, Recording, Step
from rehearse.replay.scrubbing import Scrubber, is_secret_name

MAX_BYTES = 50_000_000
MAX_OPERATIONS = 1000
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_MAX_DEPTH = 8  # of references and of schemas inside schemas
_MOST_VALUES = 500  # in one document made from a schema: one that refers to itself grows with every level
_OF_FORMAT = {
    "date": "2028-02-29",
    "date-time": "2028-02-29T12:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "email": "visitor@example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "byte": "AAAA",
}

Table = dict[str, JsonData]


def read_openapi(content: bytes, source: str, side_effects: bool = False) -> Recording:
    """The requests that the document describes. Raises ConfigError."""
    document = _document(content, source)
    reader = _Reader(document, side_effects)
    journeys = tuple(reader.journeys())
    if not journeys:
        what = ", ".join(f"{count} × {reason}" for reason, count in reader.left_out.items()) or "no paths"
        raise ConfigError(f"{source}: no operation is left to request ({what}). --side-effects keeps more.")
    return Recording(
        source=f"{source} (OpenAPI {document['openapi']})",
        journeys=journeys,
        base_url=reader.scrubber.text("server", "url", reader.server),
        left_out=reader.left_out,
        scrubbed=reader.scrubber.counts,
        notes=tuple(reader.notes()),
    )


def _document(content: bytes, source: str) -> Table:
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{source} has more than {MAX_BYTES // 1_000_000} MB.")
    try:
        document = parse_json(content.removeprefix(b"\xef\xbb\xbf"))
    except CodecError as error:
        if source.lower().endswith((".yaml", ".yml")):
            raise ConfigError(
                f"{source} is YAML, which is not read here. Most services have the same document as JSON"
                " (/openapi.json); any YAML tool converts it, such as `yq -o json`."
            ) from None
        raise ConfigError(f"{source} {error}") from None
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        version = document.get("swagger") if isinstance(document, dict) else None
        what = (
            f"It is Swagger {str(version)[:10]}; convert it first."
            if version
            else "Its `openapi` must be 3.x."
        )
        raise ConfigError(f"{source} is no OpenAPI 3 document. {what}")
    return document


@dataclass
class _Reader:
    """Reads one document."""

    document: Table
    side_effects: bool
    scrubber: Scrubber = field(default_factory=Scrubber)
    left_out: Counter[str] = field(default_factory=Counter)
    _guessed: list[str] = field(default_factory=list)
    _secured: int = 0
    _made: int = 0  # values of the document that is being made

    @property
    def server(self) -> str:
        """The first server, as it is written; its path goes in front of all paths."""
        servers = _list(self.document.get("servers"))
        return str(_table(servers[0]).get("url") or "") if servers else ""

    def journeys(self) -> Iterator[Journey]:
        """One for each operation."""
        paths = _table(self.document.get("paths"))
        operations = [
            (path, method, self._resolved(item), self._resolved(self._resolved(item).get(method)))
            for path, item in paths.items()
            for method in _METHODS
            if method in self._resolved(item)
        ]
        for path, method, item, operation in operations[:MAX_OPERATIONS]:
            if method.upper() not in SAFE_METHODS and not self.side_effects:
                self.left_out[f"{method.upper()} (--side-effects keeps them)"] += 1
                continue
            step = self._step(path, method.upper(), item, operation)
            if step is not None:
                title = f"{step.method} {operation.get('operationId') or step.name}"
                yield Journey(
                    f"{title} (deprecated)" if operation.get("deprecated") is True else title, (step,)
                )
        if len(operations) > MAX_OPERATIONS:
            self.left_out["operations beyond the first 1,000"] += len(operations) - MAX_OPERATIONS

    def notes(self) -> Iterator[str]:
        """What a person must know who runs it."""
        if self._secured:
            components = _table(self.document.get("components"))
            schemes = _table(components.get("securitySchemes")).items()
            kinds = sorted(f"{name} ({self._resolved(scheme).get('type')})" for name, scheme in schemes)
            yield (
                f"{self._secured} operations ask for authentication: {', '.join(kinds) or 'of a kind not described'}."
                " Give it in the target's headers in rehearse.toml, or log in with on_start."
            )
        if self._guessed:
            yield f"Values made up from types, to be replaced by ones that exist: {', '.join(self._guessed[:20])}."

    def _step(self, path: str, method: str, item: Table, operation: Table) -> Step | None:
        name = f"{self._prefix()}{path}"
        url, query, headers = name, list[str](), dict[str, str]()
        for parameter in self._parameters(item, operation):
            key, place = str(parameter.get("name")), parameter.get("in")
            is_needed = parameter.get("required") is True or self._has_example(parameter)
            if place == "path":
                url = url.replace(f"{{{key}}}", quote(self._text_of(parameter), safe=""))
            elif place == "query" and is_needed:
                query.append(f"{quote(key)}={quote(self._text_of(parameter))}")
            elif place == "header" and is_needed and not is_secret_name(key):
                headers[key] = self.scrubber.text("header", key.lower(), self._text_of(parameter))
        if "{" in url or not url.startswith("/"):
            self.left_out["paths with parameters that are not described"] += 1
            return None
        body, reason = self._body(operation)
        if reason:
            self.left_out[reason] += 1
            return None
        if self._is_secured(operation):
            self._secured += 1
        full = self.scrubber.path(url + (f"?{'&'.join(query)}" if query else ""))
        return Step(
            method, name.replace("{", "[").replace("}", "]") or route_name(full), {full: 1}, headers, body
        )

    def _prefix(self) -> str:
        try:
            return urlsplit(self.server).path.rstrip("/") if "{" not in self.server else ""
        except ValueError:
            return ""

    def _parameters(self, item: Table, operation: Table) -> list[Table]:
        """Those of the path, replaced by those of the operation."""
        found: dict[tuple[str, str], Table] = {}
        for holder in (item, operation):
            for parameter in map(self._resolved, _list(holder.get("parameters"))):
                found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        return list(found.values())

    def _has_example(self, parameter: Table) -> bool:
        schema = self._resolved(parameter.get("schema"))
        return (
            any(key in parameter for key in ("example", "examples"))
            or "example" in schema
            or "examples" in schema
        )

    def _text_of(self, parameter: Table) -> str:
        content = _table(parameter.get("content"))
        holder = _table(next(iter(content.values()))) if content else parameter
        value = self._value(holder, str(parameter.get("name")))
        if isinstance(value, list):
            return ",".join(map(_plain, value))
        return _plain(value)

    def _body(self, operation: Table) -> tuple[Body | None, str]:
        body = self._resolved(operation.get("requestBody"))
        if not body:
            return None, ""
        for kind, media in _table(body.get("content")).items():
            if kind.partition(";")[0].strip() == "application/json" or kind.endswith("+json"):
                return Body(json=self.scrubber.data(self._value(_table(media), "body"))), ""
        return None, "operations without a JSON body" if body.get("required") is True else ""

    def _is_secured(self, operation: Table) -> bool:
        security = operation.get("security", self.document.get("security"))
        return bool(_list(security)) and {} not in _list(security)

    def _value(self, holder: Table, name: str) -> JsonData:
        """Of a parameter or a media type: its own example first, then its schema's."""
        if "example" in holder:
            return holder["example"]
        for example in _table(holder.get("examples")).values():
            if "value" in self._resolved(example):
                return self._resolved(example)["value"]
        self._made = 0
        return self._of_schema(holder.get("schema"), name, 0)

    def _of_schema(self, data: JsonData, name: str, depth: int) -> JsonData:
        schema = self._resolved(data)
        self._made += 1
        for key in ("example", "default", "const"):
            if key in schema:
                return schema[key]
        for key in ("examples", "enum"):
            if values := _list(schema.get(key)):
                return values[0]
        for key in ("allOf", "oneOf", "anyOf"):
            if parts := _list(schema.get(key)):
                return self._of_parts(key, parts, name, depth)
        return self._of_type(schema, name, depth)

    def _of_parts(self, key: str, parts: list[JsonData], name: str, depth: int) -> JsonData:
        if self._is_enough(depth):
            return None
        found = [self._of_schema(part, name, depth + 1) for part in parts]
        if key == "allOf" and all(isinstance(part, dict) for part in found):
            return {name: value for part in found if isinstance(part, dict) for name, value in part.items()}
        return next((part for part in found if part is not None), None)

    def _of_type(self, schema: Table, name: str, depth: int) -> JsonData:
        kinds = schema.get("type")
        kind = next((one for one in kinds if one != "null"), "null") if isinstance(kinds, list) else kinds
        if kind == "null":
            return None
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(schema, depth)
        if kind == "array":
            wanted = schema.get("minItems")
            count = min(wanted, 5) if isinstance(wanted, int) else 1
            return [] if self._is_enough(depth) else self._array(schema, name, depth, count)
        if name not in self._guessed:
            self._guessed.append(name)
        if kind == "boolean":
            return True
        if kind in ("integer", "number"):
            return _number(schema)
        return _text(schema)

    def _array(self, schema: Table, name: str, depth: int, count: int) -> JsonData:
        before = self._made
        item = self._of_schema(schema.get("items"), name, depth + 1)
        values = (self._made - before) * count
        if values > _MOST_VALUES:
            return [item]
        self._made = before + values
        return [item] * count

    def _object(self, schema: Table, depth: int) -> JsonData:
        if self._is_enough(depth):
            return {}
        needed = [str(name) for name in _list(schema.get("required"))]
        properties = _table(schema.get("properties"))
        return {name: self._of_schema(properties.get(name), name, depth + 1) for name in needed}

    def _is_enough(self, depth: int) -> bool:
        return depth >= _MAX_DEPTH or self._made >= _MOST_VALUES

    def _resolved(self, data: JsonData) -> Table:
        """What a local `$ref` leads to, through a few more of them; an empty table for what leads nowhere."""
        for _ in range(_MAX_DEPTH):
            reference = _table(data).get("$ref")
            if not isinstance(reference, str):
                return _table(data)
            data = self._at(reference)
        return {}

    def _at(self, reference: str) -> JsonData:
        if not reference.startswith("#/"):
            return None
        found: JsonData = dict(self.document)
        for part in reference[2:].split("/"):
            found = _table(found).get(part.replace("~1", "/").replace("~0", "~"))
        return found


def _number(schema: Table) -> JsonData:
    for key, step in (("minimum", 0), ("exclusiveMinimum", 1), ("maximum", 0), ("exclusiveMaximum", -1)):
        value = schema.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if key == "minimum" and value <= 1 <= _least(schema.get("maximum"), 1):
                return 1
            return value + step
    return 1


def _least(value: JsonData, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _text(schema: Table) -> str:
    if (known := _OF_FORMAT.get(str(schema.get("format")))) is not None:
        return known
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    text = "example"
    if isinstance(shortest, int) and not isinstance(shortest, bool):
        text = text.ljust(min(shortest, 1000), "x")
    return text[: max(longest, 0)] if isinstance(longest, int) else text


def _plain(value: JsonData) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _table(data: JsonData) -> Table:
    return data if isinstance(data, dict) else {}


def _list(data: JsonData) -> list[JsonData]:
    return data if isinstance(data, list) else []
