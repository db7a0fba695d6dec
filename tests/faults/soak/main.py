"""The command line of a soak run: plays it, or reads what an earlier one has found."""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

import tunnelkeeper
from tests.faults.soak import summary as report
from tests.faults.soak.chronicle import Chronicle
from tests.faults.soak.run import BOUNDS, Run, allowed
from tests.faults.soak.stage import Stage
from tests.faults.soak.summary import Summary
from tests.faults.soak.watch import Violation, Watch
from tests.faults.table import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, VIOLATED, UNABLE, INTERRUPTED = 0, 1, 2, 130
MOST_SEEDS = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code: 1 after a violation, 2 when it could not run."""
    options = _parser().parse_args(arguments)
    if options.read:
        summary = report.from_json(options.read.read_bytes())
    else:
        directory = Path(tempfile.mkdtemp(prefix="tk"))
        seed = random.randrange(MOST_SEEDS) if options.seed is None else options.seed
        try:
            summary = soak(directory, options.minutes, seed, aloud=True)
        except pytest.skip.Exception as absent:
            sys.stderr.write(f"soak: {absent}\n")
            return UNABLE
        except KeyboardInterrupt:
            sys.stderr.write(f"soak: interrupted; the logs are in {directory}\n")
            return INTERRUPTED
        if summary.violation:
            sys.stderr.write(f"the logs are in {directory}\n")
        else:
            shutil.rmtree(directory)
    sys.stdout.write(f"{report.format_run(summary)}\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(report.to_json(summary))
    if options.write_docs:
        DOCUMENT.write_text(report.written_into(DOCUMENT.read_text(), summary))
    return VIOLATED if summary.violation else DONE


def soak(
    directory: Path, minutes: float, seed: int, *, aloud: bool, quiet: float = 10.0
) -> Summary:
    """Play a run below a directory, whose logs stay there; what it found."""
    chronicle = Chronicle(directory / "soak.log", aloud=aloud)
    chronicle.tell(f"seed {seed}, {minutes:g} minutes, in {directory}")
    with Stage(directory) as stage:
        summary = Summary(
            day=datetime.now(UTC).date().isoformat(),
            minutes=minutes,
            seed=seed,
            machine=_machine(),
            tunnels=len(stage.entries),
            allowed=allowed(stage.entries),
        )
        stage.start()
        path = stage.program.socket
        with Watch(stage.entries, path, chronicle, BOUNDS, seed) as watch:
            run = Run(stage, watch, chronicle, Random(seed), summary, quiet)
            try:
                run.play(minutes * 60)
            except (Violation, AssertionError) as violation:  # a server may not start again
                summary.violation = str(violation)
                _tell_all(summary, chronicle)
        summary.pings, summary.bytes, summary.looks = watch.pings, watch.bytes, watch.looks
        summary.longest_lie = watch.judge.longest_lie
        summary.slowest_answer = watch.judge.slowest_answer
    return summary


def _tell_all(summary: Summary, chronicle: Chronicle) -> None:
    sys.stderr.write("\n".join(["the last events:", *chronicle.last(), ""]))
    chronicle.tell(f"VIOLATION: {summary.violation}")


def _machine() -> str:
    system = f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"
    return (
        f"{os.cpu_count()} cores, {system}; tunnelkeeper {tunnelkeeper.__version__}, Python "
        f"{platform.python_version()}, asyncssh {version('asyncssh')}. Load at the beginning: "
        f"{os.getloadavg()[0]:.2f}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=30.0, help="how long (default: 30)")
    add("--seed", type=int, help="of what happens; the same seed, the same faults")
    add("--from", dest="read", type=Path, metavar="FILE", help="show an earlier run's JSON again")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--write-docs", action="store_true", help="put the summary into docs/reliability.md")
    return parser
