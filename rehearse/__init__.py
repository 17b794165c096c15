"""Pre-flight upgrade rehearsals: record the known-good system, rehearse the upgrade, read one go/abort report."""

__version__ = "0.1.0"  # the only place: the distribution takes its version from here
