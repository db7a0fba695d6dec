"""The demo: check every tunnel and its recovery (--check), or print commands to try."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.demo.files import DemoFiles, DemoTunnel, find_free_ports
from tunnelkeeper.demo.probe import ProbeError, fetch_greeting, measure_tunnel
from tunnelkeeper.demo.processes import POLL_INTERVAL, START_TIMEOUT, DemoError, Processes
from tunnelkeeper.demo.web import WebServer, compute_blob_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECOVERY_TIMEOUT = 20.0
"""Seconds that a tunnel may take to carry data after the relay has restarted."""


@contextmanager
def running_demo() -> Iterator[tuple[DemoFiles, Processes]]:
    """Run relays, web server and supervisor in a temporary directory; remove everything on exit.

    Raises DemoError if a process does not start.
    """
    with (
        # A short name: a socket path may have 103 bytes, and macOS uses half of them for TMPDIR.
        tempfile.TemporaryDirectory(prefix="tk-") as directory,
        WebServer() as web,
    ):
        files = DemoFiles(Path(directory), find_free_ports(), web.port)
        files.write_all()
        with Processes(files) as processes:
            processes.start_relays()
            processes.start_supervisor()
            _wait_until_up(files, processes)
            yield files, processes


def run_check(print_line: Callable[[str], None]) -> bool:
    """Send data through each tunnel, kill the relay once, and check that each tunnel recovers.

    Returns whether every check passed. Raises DemoError if a process fails.
    """
    expected = compute_blob_hash()
    with running_demo() as (files, processes):
        print_line("data through each tunnel (a page, then 16 MB compared by hash):")
        results = [_check_data(tunnel, expected, print_line) for tunnel in files.tunnels]
        print_line("the relay is cut off and started again:")
        processes.kill_relay()
        processes.start_relay("relay")
        restarted_at = time.monotonic()
        results.extend(
            _check_recovery(tunnel, restarted_at, processes, print_line) for tunnel in files.tunnels
        )
    print_line("all good" if all(results) else "some checks failed; see the lines above")
    return all(results)


def run_interactive(
    print_line: Callable[[str], None], wait: Callable[[Path, tuple[str, ...]], None]
) -> None:
    """Print commands to try, then call `wait`.

    wait: receives the control socket and the printed instructions, and returns when the demo ends.

    Raises DemoError if a process does not start.
    """
    with running_demo() as (files, _):
        print_line(
            f"Everything runs on this machine's loopback, with its files in {files.directory}"
        )
        instructions = (
            "Try these in another terminal. Each one reaches the same small web server:",
            *(f"  {tunnel.kind:<18} {tunnel.command}" for tunnel in files.tunnels),
            "Show the tunnels with this command (or use logs -f, restart NAME, down NAME):",
            f"  {_program_name()} --socket {files.socket_path} status",
        )
        for line in instructions:
            print_line(line)
        print_line("Press Ctrl-C to end the demo.")
        wait(files.socket_path, instructions)


def _program_name() -> str:
    """Return the command that starts this program."""
    name = Path(sys.argv[0]).name
    if name == "__main__.py":
        return f"{sys.executable} -m tunnelkeeper"
    return name if shutil.which(name) else sys.argv[0]


def _check_data(tunnel: DemoTunnel, expected: str, print_line: Callable[[str], None]) -> bool:
    try:
        measurement = measure_tunnel(tunnel.entry_point, expected)
    except ProbeError as error:
        print_line(f"  {tunnel.kind:<18} FAILED  {error}")
        return False
    milliseconds, rate = measurement.seconds * 1000, measurement.rate / 1e6
    print_line(f"  {tunnel.kind:<18} good    {milliseconds:6.1f} ms   {rate:6.0f} MB/s")
    return True


def _check_recovery(
    tunnel: DemoTunnel, restarted_at: float, processes: Processes, print_line: Callable[[str], None]
) -> bool:
    reason = "no attempt was made"
    while (waited := time.monotonic() - restarted_at) < RECOVERY_TIMEOUT:
        processes.check_alive()
        try:
            fetch_greeting(tunnel.entry_point)
        except ProbeError as error:
            reason = str(error)
            time.sleep(POLL_INTERVAL)
            continue
        result = f"back    carries data {waited:.1f} s after the relay's return"
        print_line(f"  {tunnel.kind:<18} {result}")
        return True
    print_line(f"  {tunnel.kind:<18} FAILED  not back after {RECOVERY_TIMEOUT:.0f} s: {reason}")
    return False


def _wait_until_up(files: DemoFiles, processes: Processes) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    reason = "the supervisor does not answer"
    while time.monotonic() < deadline:
        processes.check_alive()
        try:
            with Client(files.socket_path) as client:
                tunnels = client.status().tunnels
        except NoSupervisorError:
            time.sleep(POLL_INTERVAL)
            continue
        not_up = [tunnel for tunnel in tunnels if tunnel.state != "up"]
        if not not_up:
            return
        failure = not_up[0].failure
        reason = f"{not_up[0].name} is {not_up[0].state}: {failure.message if failure else ''}"
        time.sleep(POLL_INTERVAL)
    raise DemoError(reason)
