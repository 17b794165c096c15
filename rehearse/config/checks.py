"""Which codified breaks are asked, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from rehearse.config.fields import Duration, PackOptions, Place, Words, between
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section

DEFAULT_DIR = Path("checks")


class Checks(Section):
    """The codified breaks of the past; see docs/checks.md."""

    dir: Place = Field(
        default=DEFAULT_DIR,
        description="Folder of the project's own checks. Left out and not there, the project has none.",
        validate_default=True,
    )
    packs: Words = Field(default=(), description="Checks that come with `rehearse`, by name.")
    timeout_s: Annotated[Duration, between(0.1, 3600, "one check asks one thing", write_duration)] = Field(
        default=30.0, description="How long one check may take; then it is ended, and named."
    )
    budget_s: Annotated[Duration, between(1, 24 * 3600, "somebody waits for the verdict", write_duration)] = (
        Field(default=600.0, description="How long all of them may take together.")
    )
    options: Mapping[str, PackOptions] = Field(
        default={}, description="What a pack, or a file of checks by its name without `.py`, is told."
    )

    @property
    def are_due(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.packs) or self.dir.is_dir()
