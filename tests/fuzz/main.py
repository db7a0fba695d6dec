"""The command of `make fuzz`: all targets in turn, with new inputs in each round, for a time."""

from __future__ import annotations

import argparse
import secrets
import time
from typing import TYPE_CHECKING

from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES_PER_ROUND = 500


def main(arguments: Sequence[str]) -> int:
    """Fuzz for --minutes. Return 1 if a parser failed; the message has the input and the seed."""
    options = _parse(arguments)
    targets = [each for each in TARGETS if options.only in each.name]
    if not targets:
        print(f"no target has {options.only!r} in its name: {', '.join(t.name for t in TARGETS)}")
        return 2
    number = options.seed if options.seed is not None else secrets.randbits(32)
    end = time.monotonic() + 60 * options.minutes
    rounds = 0
    while not rounds or time.monotonic() < end:
        for target in targets:
            try:
                target.run(EXAMPLES_PER_ROUND, number)
            except Exception as error:
                repeat = f"python -m tests.fuzz --only {target.name!r} --seed {number}"
                error.add_note(f"to repeat it: {repeat}")
                raise
        rounds += 1
        number += 1
    count = rounds * len(targets) * EXAMPLES_PER_ROUND
    print(f"{count} inputs for {len(targets)} parsers, rounds: {rounds}, last seed {number - 1}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="one round at least")
    parser.add_argument("--only", default="", help="the targets with this text in their names")
    parser.add_argument("--seed", type=int, default=None, help="the number that a failure printed")
    return parser.parse_args(arguments)
