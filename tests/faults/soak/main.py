"""The command line of the soak run: starts a run, or shows the summary of an earlier one."""

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
from tests.faults.soak.environment import Environment
from tests.faults.soak.event_record import EventRecord
from tests.faults.soak.monitor import Monitor, ViolationError
from tests.faults.soak.run import BOUNDS, Run, allowed
from tests.faults.soak.summary import Summary
from tests.faults.table import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, VIOLATED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
SEED_LIMIT = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit code: 1 after a violation, 2 if it cannot run."""
    options = _parser().parse_args(arguments)
    if options.read:
        summary = report.from_json(options.read.read_bytes())
    else:
        directory = Path(tempfile.mkdtemp(prefix="tk"))
        seed = random.randrange(SEED_LIMIT) if options.seed is None else options.seed
        try:
            summary = soak(directory, options.minutes, seed, verbose=True)
        except pytest.skip.Exception as absent:
            sys.stderr.write(f"soak: {absent}\n")
            return CANNOT_RUN
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
    directory: Path, minutes: float, seed: int, *, verbose: bool, idle: float = 10.0
) -> Summary:
    """Do a run in a directory, which keeps the logs; return the summary."""
    record = EventRecord(directory / "soak.log", verbose=verbose)
    record.report(f"seed {seed}, {minutes:g} minutes, in {directory}")
    with Environment(directory) as environment:
        summary = Summary(
            day=datetime.now(UTC).date().isoformat(),
            minutes=minutes,
            seed=seed,
            machine=_machine(),
            tunnels=len(environment.endpoints),
            allowed=allowed(environment.endpoints),
        )
        environment.start()
        path = environment.program.socket
        with Monitor(environment.endpoints, path, record, BOUNDS, seed) as monitor:
            run = Run(environment, monitor, record, Random(seed), summary, idle)
            try:
                run.run(minutes * 60)
            except (ViolationError, AssertionError) as violation:  # a server may fail to restart
                summary.violation = str(violation)
                _report_violation(summary, record)
        summary.pings, summary.bytes, summary.status_reads = (
            monitor.pings,
            monitor.bytes,
            monitor.status_reads,
        )
        summary.longest_false_up = monitor.judge.longest_false_up
        summary.slowest_answer = monitor.judge.slowest_answer
    return summary


def _report_violation(summary: Summary, record: EventRecord) -> None:
    sys.stderr.write("\n".join(["the last events:", *record.last(), ""]))
    record.report(f"VIOLATION: {summary.violation}")


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
    add("--minutes", type=float, default=30.0, help="duration (default: 30)")
    add("--seed", type=int, help="random seed; the same seed gives the same faults")
    add(
        "--from",
        dest="read",
        type=Path,
        metavar="FILE",
        help="show the JSON summary of an earlier run",
    )
    add("--json", type=Path, metavar="FILE", help="write the measurements")
    add("--write-docs", action="store_true", help="put the summary into docs/reliability.md")
    return parser
