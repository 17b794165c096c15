"""`python -m rehearse.shop serve --version 1.0 --port 8001`, and `seed` to fill a database beforehand."""

from __future__ import annotations

import argparse
import sys

from sqlalchemy.exc import ArgumentError, OperationalError

from rehearse.shop.seeding import seed
from rehearse.shop.serving import ServeSettings, serve
from rehearse.shop.tables import connect
from rehearse.shop.versions import BEHAVIOURS


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 2 when the database cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "seed":
            seed(connect(options.database))
        else:
            serve(_serve_settings(options))
    except (ArgumentError, OperationalError, OSError) as error:
        print(f"--database: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    return 0


def _serve_settings(options: argparse.Namespace) -> ServeSettings:
    return ServeSettings(
        version=options.version,
        host=options.host,
        port=options.port,
        # A file for each port: two versions side by side must not migrate each other's database.
        database_url=options.database or f"sqlite:///.rehearse/shop-{options.port}.db",
        exits_with_parent=options.exit_with_parent,
        slowness=options.slowness,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rehearse.shop", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="seed, migrate and serve one version")
    server.add_argument("--version", choices=sorted(BEHAVIOURS), required=True)
    server.add_argument("--port", type=int, required=True)
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--database", metavar="URL", help="default: .rehearse/shop-PORT.db")
    server.add_argument("--exit-with-parent", action="store_true", help="end when the starting process ends")
    server.add_argument(
        "--slowness",
        type=_times,
        default=1.0,
        metavar="TIMES",
        help="each answer takes this many times as long",
    )
    seeder = commands.add_parser("seed", help="fill an empty database, as version 1.0 has it")
    seeder.add_argument("--database", metavar="URL", required=True)
    return parser


def _times(given: str) -> float:
    times = float(given)
    if not 1 <= times <= 100:
        raise argparse.ArgumentTypeError(f"{given} is not between 1 and 100")
    return times


if __name__ == "__main__":
    sys.exit(main())
