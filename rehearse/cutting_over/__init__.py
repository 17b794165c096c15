"""`rehearse cutover`: the exit plan, there and back in one environment, while load and probes go on."""
