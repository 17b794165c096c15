"""How long taking secrets out takes: it runs over every sentence, and every answer that is kept.

python -m bench.redaction
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import time

from rehearse.redaction import redactor

SECRETS = 10
ROUNDS = 30


def texts() -> dict[str, str]:
    """What is redacted most often, and what takes longest."""
    rng = random.Random(4)
    items = [{"id": n, "name": f"item {n}", "price": rng.random(), "ok": True} for n in range(200)]
    signed_in = [{"access_token": f"t{rng.random()}", "user": n, "url": "http://h/a?b=c"} for n in range(160)]
    return {
        "a sentence": "GET /orders/[id] 200 $.items[*].price type: number before, string now",
        "an answer of 12 kB": json.dumps(items),
        "an answer of 12 kB full of tokens": json.dumps(signed_in),
        "12 kB of Base64": base64.b64encode(rng.randbytes(9_000)).decode(),
        "12 kB of cuts": "abcd..." * 1750,
    }


def main() -> None:
    """One line a text."""
    rng = random.Random(3)
    clean = redactor([f"canary-{rng.randbytes(12).hex()}" for _ in range(SECRETS)])
    print(f"{SECRETS} secrets, median of {ROUNDS}")
    for name, text in texts().items():
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(20):
                clean(text)
            times.append((time.process_time() - began) / 20)
        print(f"{name:<36} {len(text):>6} characters {statistics.median(times) * 1e6:>8.1f} us")


if __name__ == "__main__":
    main()
