"""The command line of the recovery benchmark."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import page
from benchmarks.machine import describe
from benchmarks.processes import BenchmarkError, kill_leftovers
from benchmarks.recovery import report
from benchmarks.recovery.measure import Outage, measure
from benchmarks.recovery.report import Recovery
from benchmarks.recovery.worlds import Kind
from docs import comparison
from docs.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
OUTAGES = (1.0, 5.0, 30.0, 60.0, 120.0)
KINDS = {"killed": Kind.KILLED, "black-hole": Kind.BLACK_HOLE}
DONE, MISSED, FAILED, INTERRUPTED = 0, 1, 2, 130
_STARTED = time.monotonic()


def main(arguments: Sequence[str]) -> int:
    """Run a command line; return exit code 1 if tunnelkeeper's worst time exceeds the aim."""
    options = _parser().parse_args(arguments)
    try:
        recovery = (
            report.from_json(options.read.read_bytes()) if options.read else _measured(options)
        )
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\nbenchmarks: interrupted; everything is ended\n")
        return INTERRUPTED
    sys.stdout.write(f"{aligned(report.HEAD, report.rows(recovery))}\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(report.to_json(recovery))
    if options.write_docs:
        DOCUMENT.write_text(report.written_into(DOCUMENT.read_text(), recovery))
        comparison.write()
    return DONE if recovery.worst <= report.AIM else MISSED


def _measured(options: argparse.Namespace) -> Recovery:
    kinds = [KINDS[name] for name in options.only or KINDS]
    outages = [Outage(kind, seconds) for kind in kinds for seconds in options.outages]
    machine = page.machine(describe())
    with kill_leftovers():
        returns = measure(outages, options.rounds, _tell)
    day = datetime.now(UTC).date().isoformat()
    return Recovery(day, options.rounds, machine, returns)


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.monotonic() - _STARTED:5.0f} s  {line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description="Measure how soon data flows again after an outage, beside autossh.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="rounds of each outage (default: 3)")
    add(
        "--outages",
        type=float,
        nargs="+",
        default=OUTAGES,
        metavar="S",
        help="durations in seconds",
    )
    add("--only", action="append", choices=KINDS, help="this kind of outage; repeatable")
    add("--from", dest="read", type=Path, metavar="FILE", help="show an earlier run's JSON again")
    add("--json", type=Path, metavar="FILE", help="write every sample")
    add("--write-docs", action="store_true", help="put the table into docs and README")
    return parser
