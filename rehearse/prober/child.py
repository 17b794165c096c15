"""The process that sends probes, told by lines of JSON what to send, and telling by lines of JSON what it saw.

    python -m rehearse.prober.child

The first line of stdin is a ProberOrder, each later one a command: {"headers": {...}} or {"stop": true}. Out come
{"began_s"}, then lines of {"samples": [...]}, and {"ended_s", "count"} as the last one. When stdin ends, `rehearse` is
gone, and so are the probes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import signal
from time import monotonic

from rehearse.allowlist import AllowList, install_socket_guard
from rehearse.codec import JsonData, from_jsonable, to_jsonable
from rehearse.disruptions import Sample
from rehearse.errors import ConfigError
from rehearse.forward_proxy import check_way
from rehearse.prober.orders import MOST_PROBES, ProberOrder
from rehearse.prober.pace import Pace, most_open
from rehearse.prober.sending import HttpSender, Sender
from rehearse.told_by_lines import Answers, run_told

FLUSH_S = 0.2
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_BEGIN_IN_S = 0.05
_SPARE_DESCRIPTORS = 64


class Control:
    """What was seen, told a few samples at a time."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._samples: list[JsonData] = []
        self._count = 0

    def keep(self, sample: Sample) -> None:
        """To be told with the next flush."""
        self._samples.append(to_jsonable(sample))

    def flush(self) -> None:
        """Tell what was kept."""
        if self._samples:
            self._count += len(self._samples)
            self._answers.tell({"samples": self._samples})
            self._samples = []

    def end(self, ended_s: float) -> None:
        """The last word: everything was told."""
        self.flush()
        self._answers.tell({"ended_s": ended_s, "count": self._count})


def check_order(order: ProberOrder, allow_list: AllowList) -> None:
    """Return only if it may, and can, be carried out. Raises ConfigError and TargetRefused."""
    if not 0 < len(order.probes) <= MOST_PROBES:
        raise ConfigError(f"1 to {MOST_PROBES} probes can be sent, not {len(order.probes)}")
    names = [one.probe.name for one in order.probes]
    if len(set(names)) < len(names):
        raise ConfigError(f"two probes have the same name: {', '.join(sorted(names))}")
    for probe in (one.probe for one in order.probes):
        if probe.method.upper() not in SAFE_METHODS and not probe.is_write:
            raise ConfigError(f"probe {probe.name!r} sends {probe.method}, and nothing says that it writes")
    for what, value in (
        ("interval", order.interval_s),
        ("timeout", order.timeout_s),
        ("end", order.at_most_s),
    ):
        if not value >= 0.01:
            raise ConfigError(f"the probes' {what} must be 0.01 s or more, it is {value:g} s")
    check_way(order.target.url, order.target.proxy, allow_list)


def raise_descriptor_limit(needed: int) -> None:
    """As far as it goes: what is still too little shows in the samples, as trouble of the rig."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(reader: asyncio.StreamReader, answers: Answers) -> None:
    order = from_jsonable(ProberOrder, json.loads(await reader.readline()))
    allow_list = AllowList(order.allow, order.production, order.target.other_sides)
    check_order(order, allow_list)
    raise_descriptor_limit(most_open(order) + _SPARE_DESCRIPTORS)
    sender = HttpSender(order)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    install_socket_guard(allow_list, lambda _: None)  # who was refused raises, and ends the pace
    gc.freeze()  # what was imported stays: looking through it takes longer than a sample
    began_s = monotonic() + _BEGIN_IN_S
    answers.tell({"began_s": began_s})
    control = Control(answers)
    flushing = asyncio.create_task(_flush(control))
    obeying = asyncio.create_task(_obey(reader, sender, stopped))
    pacing = asyncio.create_task(Pace(order, sender, control.keep).run(began_s, stopped))
    try:
        await asyncio.wait({pacing, obeying}, return_when=asyncio.FIRST_COMPLETED)
        if not pacing.done() and not stopped.is_set():
            return  # stdin has ended, and nobody hears what is still said
        control.end(await pacing)
    finally:
        control.flush()
        for task in (flushing, obeying, pacing):
            task.cancel()
        await sender.close()


async def _flush(control: Control) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        control.flush()


async def _obey(reader: asyncio.StreamReader, sender: Sender, stopped: asyncio.Event) -> None:
    """Until it is told to stop, or nobody is left to tell anything."""
    while line := await reader.readline():
        command = json.loads(line)
        if "headers" in command:
            sender.tell_headers(command["headers"])
        if "stop" in command:
            stopped.set()
            return


def main() -> None:
    """Send probes until stdin ends, it is told to stop, or a signal comes."""
    run_told(_serve)


if __name__ == "__main__":
    main()
