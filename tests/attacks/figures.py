"""Runs every registered attack beside an honest client: `python -m tests.attacks.figures`.

It prints a table: the relay's memory and descriptors, the honest client's round trip during the
attack as a multiple of its median before, and the slowest login meanwhile. `--write FILE` writes
the same as a Markdown table. The tests assert what must hold on a slow machine too; this command
measures.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import attacks
from tests.attacks.honest_client import HonestClient
from tests.attacks.victim import start_victim
from tests.e2e.sandbox import new_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.attack import Attack
    from tests.attacks.honest_client import Figures

BASELINE = 3.0
"""Seconds of round trips before the attack."""

MOST = 3.0
"""The goal for the median round trip during an attack, as a multiple of the one before."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one attack did. logins: seconds of each login during the attack."""

    attack: Attack
    before: Figures
    during: Figures
    logins: list[float]
    memory: int
    memory_growth: int
    descriptors: int

    @property
    def slowdown(self) -> float:
        """The median round trip during the attack, as a multiple of the one before."""
        return self.during.median / self.before.median

    def row(self) -> str:
        """Return a row of the table, in Markdown."""
        cells = (
            self.attack.name,
            f"{self.memory / 1e6:.0f} MB (+{self.memory_growth / 1e6:.0f})",
            str(self.descriptors),
            f"{self.before.median * 1e3:.2f} ms",
            f"{self.slowdown:.1f}",
            f"{self.during.p99 / self.before.median:.1f}",
            f"{max(self.logins):.1f} s of {len(self.logins)}" if self.logins else "",
        )
        return f"| {' | '.join(cells)} |"


COLUMNS = (
    "attack",
    "relay's memory",
    "descriptors",
    "round trip before",
    "median during",
    "p99 during",
    "slowest login",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def registered() -> Iterator[Attack]:
    """Yield the attacks of all modules whose names end in `_attack`, in order."""
    for module in sorted(pkgutil.iter_modules(attacks.__path__), key=lambda each: each.name):
        if module.name.endswith("_attack"):
            yield from importlib.import_module(f"{attacks.__name__}.{module.name}").ATTACKS


async def run(attack: Attack) -> Result:
    """Run one attack against a relay of its own."""
    with new_sandbox() as sandbox:
        victim = start_victim(sandbox, **attack.settings)
        with HonestClient(victim) as honest:
            await honest.log_in()
            before = await honest.measure_during(BASELINE)
            memory = victim.process.memory_info().rss
            logins: list[float] = []

            async def log_in_again() -> None:
                while True:
                    logins.append(await honest.log_in())

            async with victim.watched() as usage, asyncio.TaskGroup() as tasks:
                others = tasks.create_task(log_in_again())
                await attack.run(victim)
                others.cancel()
            during = await asyncio.to_thread(honest.measure)
        growth = usage.memory - memory
        return Result(attack, before, during, logins, usage.memory, growth, usage.descriptors)


def main() -> None:
    """Run the attacks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="attacks with this in the name")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # attackers write to ended connections
    rows = [HEAD]
    print(HEAD, flush=True)
    for attack in registered():
        if arguments.only in attack.name:
            rows.append(asyncio.run(run(attack)).row())
            print(rows[-1], flush=True)
    if arguments.write:
        arguments.write.parent.mkdir(exist_ok=True)
        arguments.write.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
