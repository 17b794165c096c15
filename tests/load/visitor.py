"""A process with a FastHttpUser or a LeanHttpUser in it, outside of pytest's: it does what a test asks, line by line.

    python -m tests.load.visitor [savings]

An order is {"kind", "host", "settings", "calls"}; a call is {"do": "get", "url": ..., options}. The answer
is {"calls": [...], "events": [...]}: what each call returned, and what a listener of the request event was told.
"""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any

import gevent
import locust
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.event import Events

from rehearse.load import LeanHttpUser, savings

ASKED = ("request_type", "name", "response_length", "url", "context")


def main() -> None:
    """Answer every order, until there are no more."""
    if "savings" in sys.argv:
        savings.save()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(visit(**json.loads(line))) + "\n")
        sys.stdout.flush()


def visit(kind: str, host: str, settings: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """One user's visit."""
    events: list[dict[str, Any]] = []

    def listen(**told: Any) -> None:
        response = told["response"]
        event = {name: told[name] for name in ASKED}
        event |= {"status": response.status_code, "error": shown(told["exception"])}
        event["is_timed"] = 0 < told["response_time"] < 60_000
        events.append(event)

    environment = Environment(events=Events(), host=host)  # type: ignore[no-untyped-call]
    environment.events.request.add_listener(listen)  # type: ignore[no-untyped-call]
    try:
        user = user_class(kind, host, settings)(environment)
    except TypeError as error:
        return {"refused": str(error)}
    answers = [answer(user, **call) for call in calls]
    return {"calls": answers, "events": events}


def user_class(kind: str, host: str, settings: dict[str, Any]) -> Any:
    """A user class with these settings; `ca` is a file with the certificate to trust."""
    settings = dict(settings)
    ca = settings.pop("ca", None)
    if ca is not None:
        settings["ssl_context_factory"] = staticmethod(lambda: ssl.create_default_context(cafile=ca))
    base: Any = {"lean": LeanHttpUser, "fast": FastHttpUser}[kind]
    return type("Visitor", (base,), {"host": host, "tasks": [], **settings})


def answer(
    user: Any,
    do: str,
    url: str,
    verdict: str | None = None,
    raising: str | None = None,
    sleep: float = 0.0,
    give_up: float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """One call: what it returned or raised. `verdict` and `raising` are what a with-block does."""
    gevent.sleep(sleep)
    if do == "close":  # as Locust's documentation says it
        user.client.client.clientpool.close()
        return {}
    try:
        with gevent.Timeout(give_up, False):
            if "catch_response" not in options:
                return content_of(getattr(user.client, do)(url, **options))
            with getattr(user.client, do)(url, **options) as response:
                if verdict is not None:
                    response.success() if verdict == "success" else response.failure(verdict)
                if raising is not None:
                    raise getattr(locust.exception, raising)("as the scenario says")
                return content_of(response)
    except Exception as error:  # noqa: BLE001  # the test wants to know
        return {"raised": shown(error)}
    return {"raised": "given up"}  # type: ignore[unreachable]  # gevent.Timeout leaves its with-block


def content_of(response: Any) -> dict[str, Any]:
    """What a scenario can see of a response."""
    headers = response.headers
    return {
        "status": response.status_code,
        "content": None if response.content is None else response.content.decode("latin-1"),
        "text": response.text,
        "headers": None if headers is None else sorted(map(list, headers.items())),
        "url": response.url,
        "ok": response.ok,
        "error": shown(getattr(response, "error", None)),
        "history": [one.status_code for one in getattr(response, "history", None) or ()],
    }


def shown(error: object) -> str | None:
    """The kind of an error; geventhttpclient wraps some of them."""
    original = getattr(error, "original", None)
    return None if error is None else type(error if original is None else original).__name__


if __name__ == "__main__":
    main()
