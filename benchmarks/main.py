"""The command line of the benchmarks: measures, or reads what was measured, and hands it on."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psutil
from rich.console import Console

from benchmarks import chart, go_forwarder, page
from benchmarks.clients import TIMEOUT
from benchmarks.lab import open_lab
from benchmarks.machine import describe
from benchmarks.processes import PACKAGES, BenchmarkError, kill_leftovers, missing_programs
from benchmarks.report import Report, from_json, to_json
from benchmarks.rows import KEYS, Contender, without
from benchmarks.run import measure
from benchmarks.scale import FULL, QUICK
from benchmarks.table import CHECKED, COMPARED, check_cells, comparison_cells, drawn
from docs import comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.lab import Lab

DOCS = Path(__file__).resolve().parent.parent / "docs"
TITLE = "tunnelkeeper against ssh and autossh"
DONE, MISSED, FAILED, INTERRUPTED = 0, 1, 2, 130
QUIET = 0.5  # load average above which results of a small machine are unreliable
_STARTED = time.monotonic()
PLAIN_WIDTH = 160  # columns if the output is not a terminal


def main(arguments: Sequence[str]) -> int:
    """Run a command line; return exit code 1 if a row was missed, 2 if measuring failed."""
    options = _parser().parse_args(arguments)
    try:
        report = _read(options.read) if options.read else _measured(options)
        _hand_on(report, options)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return FAILED
    except BlockingIOError:  # the kernel's error for a socket timeout
        sys.stderr.write(f"benchmarks: nothing went through a tunnel for {TIMEOUT} s\n")
        return FAILED
    except (OSError, psutil.Error) as error:
        sys.stderr.write(f"benchmarks: the measuring itself failed: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\nbenchmarks: interrupted; everything is ended\n")
        return INTERRUPTED
    return MISSED if report.missed else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tunnelkeeper against ssh and autossh, side by side.",
        epilog=f"Rows: {', '.join(KEYS)}.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller sizes and three rounds: about two minutes")
    add("--only", action="append", metavar="ROW", choices=KEYS, help="measure this; repeatable")
    add("--from", dest="read", type=Path, metavar="FILE", help="show an earlier run's JSON again")
    add("--json", type=Path, metavar="FILE", help="write every sample and ratio")
    add("--svg", type=Path, metavar="FILE", help="draw the ratios")
    add("--write-docs", action="store_true", help="put tables and chart into docs and README")
    return parser


def _read(file: Path) -> Report:
    try:
        return from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{file}: {error}") from None


def _measured(options: argparse.Namespace) -> Report:
    _check_machine()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    scale = QUICK if options.quick else FULL
    machine = describe()
    wanted = options.only or KEYS
    if machine.load > QUIET:
        _tell(f"the machine is busy (load {machine.load}): the ratios will be noisy")
    with kill_leftovers(), open_lab() as lab:
        wanted, versions = _with_go(lab, wanted)
        found = measure(lab, scale, wanted, _tell)
    day = datetime.now(UTC).date().isoformat()
    return Report(
        day=day,
        quick=options.quick,
        rounds=scale.rounds,
        machine=replace(machine, versions=machine.versions | versions),
        comparisons=found.comparisons,
        ceilings=found.ceilings,
        first_data=found.first_data,
        checks=found.checks,
    )


def _with_go(lab: Lab, wanted: Sequence[str]) -> tuple[Sequence[str], dict[str, str]]:
    """Build the Go forwarder if a row needs it. Return the rows to measure, and its version.

    Without Go its rows are skipped with a message.
    """
    others = without(Contender.GO, wanted)
    if len(others) == len(wanted):
        return wanted, {}
    try:
        go_forwarder.build(lab.directory)
    except BenchmarkError as error:
        _tell(f"the rows against {Contender.GO} are skipped: {error}")
        return others, {}
    return wanted, {"Go": go_forwarder.version()}


def _check_machine() -> None:
    """Check requirements and raise the open-file limit; raise BenchmarkError if one is missing."""
    if sys.platform != "linux":
        raise BenchmarkError("memory and CPU are read from Linux' /proc; this system has none")
    if missing := missing_programs():
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
        raise BenchmarkError(
            f"not installed: {', '.join(missing)} (Debian: apt-get install {packages})"
        )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _hand_on(report: Report, options: argparse.Namespace) -> None:
    _print(report)
    picture = chart.draw(report.comparisons, TITLE)
    if options.json:
        _write(options.json, to_json(report).decode())
    if options.svg:
        _write(options.svg, picture)
    if options.write_docs:
        text = DOCS / "performance.md"
        _write(text, page.written_into(text.read_text(encoding="utf-8"), report))
        _write(DOCS / "performance.svg", picture)
        comparison.write()


def _print(report: Report) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    console.print(f"{TITLE}, {report.day}, {page.machine(report.machine)}\n", markup=False)
    if report.comparisons:
        console.print(drawn(COMPARED, [comparison_cells(each) for each in report.comparisons]))
    if report.ceilings:
        console.print(f"\nwithout a tunnel: {page.listed(report.ceilings)}", markup=False)
    if report.first_data:
        console.print(f"\nfirst data after: {page.listed(report.first_data)}", markup=False)
    if report.checks:
        console.print()
        console.print(drawn(CHECKED, [check_cells(each) for each in report.checks]))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    _tell(f"wrote {file}")


def _tell(line: str) -> None:
    elapsed = time.monotonic() - _STARTED
    sys.stderr.write(f"{elapsed:5.0f} s  {line}\n")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """Ignore further signals, so that everything is ended in order after the first Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
