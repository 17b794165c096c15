"""A run's numbers as a table for analysis: one row a block and series. Needs the extra `analysis`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

from rehearse.errors import ConfigError
from rehearse.model import Block, RequestOutcome, RunRecord, Series
from rehearse.report.visible import visible

_QUANTILES = {"p50_s": 0.50, "p95_s": 0.95, "p99_s": 0.99}
# What a spreadsheet would take for a formula: such a text gets a quote in front.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table_of(record: RunRecord, blocks: Sequence[Block], ending: str) -> bytes:
    """The bytes of a `csv` or `parquet` file. Raises ConfigError when pandas is not installed."""
    try:
        import pandas

        if ending == "parquet":
            import pyarrow  # noqa: F401  # what pandas writes Parquet with
    except ImportError as error:
        raise ConfigError(
            f"--{ending} needs {error.name}: pip install 'upgrade-rehearsal[analysis]'"
        ) from error
    frame = pandas.DataFrame(_rows(record, blocks), columns=list(_COLUMNS)).astype(_COLUMNS)
    if ending == "parquet":
        buffer = BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    for column in (name for name, kind in _COLUMNS.items() if kind == "string"):
        frame[column] = frame[column].map(_no_formula)
    return frame.to_csv(index=False, lineterminator="\n").encode()


_COLUMNS = {
    "run_id": "string",
    "kind": "string",
    "title": "string",
    "started_at": "string",
    "side": "string",
    "phase": "string",
    "round": "int64",
    "block": "int64",
    "is_warm_up": "bool",
    "start_s": "float64",
    "length_s": "float64",
    "scope": "string",
    "name": "string",
    **{str(outcome): "int64" for outcome in RequestOutcome},
    **dict.fromkeys(_QUANTILES, "float64"),
}


def _rows(record: RunRecord, blocks: Sequence[Block]) -> Iterator[tuple[object, ...]]:
    run = (_text(record.run_id), str(record.kind), _text(record.title), _text(record.started_at))
    for block in blocks:
        place = (str(block.side), str(block.phase), block.round, block.index, block.is_warm_up)
        for series in block.series:
            yield (*run, *place, block.start_s, block.length_s, *_numbers(series))


def _numbers(series: Series) -> Iterator[object]:
    judged = series.judged
    yield from (str(series.scope), _text(series.name))
    yield from (series.count(outcome) for outcome in RequestOutcome)
    yield from (judged.quantile_s(share) for share in _QUANTILES.values())


def _text(text: str) -> str:
    """Half surrogates are no characters, and Arrow takes none."""
    return text.encode("utf-8", "replace").decode()


def _no_formula(text: str) -> str:
    text = visible(text)  # a bare carriage return would begin a row
    return f"'{text}" if text.startswith(_FORMULA) else text
