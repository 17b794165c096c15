"""A process of its own that records one block after another until it is done or killed.

    python -m tests.store.recorder URL RUN_ID COUNT

It prints the index of each block after the store says that it is kept.
"""

from __future__ import annotations

import sys

from rehearse.store import Store
from tests.store.examples import block, record


def main(url: str, run_id: str, count: int) -> None:
    """Record `count` blocks."""
    with Store.open(url) as store:
        store.begin_run(record(run_id))
        for index in range(count):
            store.add_block(run_id, block(index))
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
