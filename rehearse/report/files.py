"""The files of one result, for people and for pipelines, written so that a reader finds a whole file or none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rehearse.codec import to_bytes
from rehearse.errors import RehearseError
from rehearse.model import Result
from rehearse.report.html import render_html
from rehearse.report.junit import junit_xml
from rehearse.report.markdown import summary_md
from rehearse.report.openmetrics import metrics_txt

RESULT_NAME = "result.json"
REPORT_NAME = "report.html"
SUMMARY_NAME = "summary.md"


class ReportError(RehearseError):
    """A report that could not be written; the stored run is untouched."""


def write_reports(result: Result, folder: Path) -> tuple[Path, ...]:
    """Write all files into `folder` (private when it is new) and return their paths, the page first.

    Raises ReportError when the folder cannot be written.
    """
    contents = {
        REPORT_NAME: render_html(result).encode(),
        RESULT_NAME: to_bytes(result),
        SUMMARY_NAME: summary_md(result).encode(),
        "junit.xml": junit_xml(result),
        "metrics.txt": metrics_txt(result),
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in contents.items():
            put_file(folder / name, content)
        _sync_folder(folder)
    except OSError as error:
        raise ReportError(
            f"{folder}: cannot write the report ({error.strerror or error})."
            f" The run is stored: `rehearse report {result.run_id}` writes it again."
        ) from error
    return tuple(folder / name for name in contents)


def put_file(path: Path, content: bytes) -> None:
    """Write beside `path`, for its owner only, force it to the disk, then put it in place in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
