"""The command line of the benchmarks: measures, or reads what was measured, and hands it on."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psutil
from rich.console import Console

from benchmarks import chart, page
from benchmarks.clients import PATIENCE
from benchmarks.lab import open_lab
from benchmarks.machine import describe
from benchmarks.processes import PACKAGES, Unable, missing_programs, no_strays
from benchmarks.report import Report, from_json, to_json
from benchmarks.rows import KEYS
from benchmarks.run import measure
from benchmarks.scale import FULL, QUICK
from benchmarks.table import CHECKED, COMPARED, check_cells, comparison_cells, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).resolve().parent.parent / "docs"
TITLE = "tunnelkeeper against ssh and autossh"
DONE, MISSED, UNABLE, INTERRUPTED = 0, 1, 2, 130
QUIET = 0.5  # load average above which the figures of a small machine are doubtful
_BEGUN = time.monotonic()
PLAIN_WIDTH = 160  # columns where the output is no terminal


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code: 1 when a row was missed, 2 when it could not."""
    options = _parser().parse_args(arguments)
    try:
        report = _read(options.read) if options.read else _measured(options)
        _hand_on(report, options)
    except Unable as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return UNABLE
    except BlockingIOError:  # so the kernel says that a socket's patience is over
        sys.stderr.write(f"benchmarks: nothing went through a tunnel for {PATIENCE} s\n")
        return UNABLE
    except (OSError, psutil.Error) as error:
        sys.stderr.write(f"benchmarks: the measuring itself failed: {error}\n")
        return UNABLE
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
    add("--write-docs", action="store_true", help="put table and chart into docs/performance.*")
    return parser


def _read(file: Path) -> Report:
    try:
        return from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Unable(f"{file}: {error}") from None


def _measured(options: argparse.Namespace) -> Report:
    _check_machine()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    scale = QUICK if options.quick else FULL
    machine = describe()
    if machine.load > QUIET:
        _tell(f"the machine is busy (load {machine.load}): the ratios will be noisy")
    with no_strays(), open_lab() as lab:
        found = measure(lab, scale, options.only or KEYS, _tell)
    day = datetime.now(UTC).date().isoformat()
    return Report(
        day=day,
        quick=options.quick,
        rounds=scale.rounds,
        machine=machine,
        comparisons=found.comparisons,
        ceilings=found.ceilings,
        first_data=found.first_data,
        checks=found.checks,
    )


def _check_machine() -> None:
    """Raises Unable where something is missing; allows as many open files as the system does."""
    if sys.platform != "linux":
        raise Unable("memory and CPU are read from Linux' /proc; this system has none")
    if missing := missing_programs():
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
        raise Unable(f"not installed: {', '.join(missing)} (Debian: apt-get install {packages})")
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
    elapsed = time.monotonic() - _BEGUN
    sys.stderr.write(f"{elapsed:5.0f} s  {line}\n")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """Ctrl-C once: everything is ended in order, and no second one comes in between."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
