"""The demo itself: with --check it proves each tunnel and its return, else it lets a person try."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.control.client import Client, NoSupervisorError
from tunnelkeeper.demo.probe import ProbeError, greet, measure
from tunnelkeeper.demo.processes import LOOK_AGAIN, START_PATIENCE, DemoError, Processes
from tunnelkeeper.demo.stage import Act, Stage, free_ports
from tunnelkeeper.demo.web import WebService, blob_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RETURN_PATIENCE = 20.0
"""Seconds a tunnel may take to carry data again after the relay is back."""


@contextmanager
def staged() -> Iterator[tuple[Stage, Processes]]:
    """A running set-up in a folder of its own; nothing of it is left afterwards.

    Raises DemoFailed.
    """
    with (
        # A short name: a socket may have 103 bytes, and macOS spends half of them on TMPDIR.
        tempfile.TemporaryDirectory(prefix="tk-") as folder,
        WebService() as web,
    ):
        stage = Stage(Path(folder), free_ports(), web.port)
        stage.write()
        with Processes(stage) as processes:
            processes.start_relays()
            processes.start_supervisor()
            _until_up(stage, processes)
            yield stage, processes


def check(say: Callable[[str], None]) -> bool:
    """Send data through each tunnel, cut the relay once, and see each come back.

    Returns whether all went well. Raises DemoFailed.
    """
    expected = blob_hash()
    with staged() as (stage, processes):
        say("data through each tunnel (a page, then 16 MB compared by hash):")
        good = [_proves(act, expected, say) for act in stage.acts]
        say("the relay is cut off and started again:")
        processes.cut_relay()
        processes.start_relay("relay")
        back_at = time.monotonic()
        good += [_returns(act, back_at, processes, say) for act in stage.acts]
    say("all good" if all(good) else "not all is well: see the lines above")
    return all(good)


def show(say: Callable[[str], None], watch: Callable[[Path, tuple[str, ...]], None]) -> None:
    """Let a person try: say what to type, then hand over to `watch`.

    watch: is given the control socket and the lines of what there is to try.

    Raises DemoFailed.
    """
    with staged() as (stage, _):
        say("Everything runs on this machine's loopback, below " + str(stage.folder))
        tries = (
            "Try these in another terminal; each reaches the same small web server:",
            *(f"  {act.kind:<18} {act.command}" for act in stage.acts),
            "and look at it (or: logs -f, restart NAME, down NAME):",
            f"  {_program()} --socket {stage.socket} status",
        )
        for line in tries:
            say(line)
        say("Ctrl-C ends all of it.")
        watch(stage.socket, tries)


def _program() -> str:
    """This program, as it can be typed."""
    name = Path(sys.argv[0]).name
    if name == "__main__.py":
        return f"{sys.executable} -m tunnelkeeper"
    return name if shutil.which(name) else sys.argv[0]


def _proves(act: Act, expected: str, say: Callable[[str], None]) -> bool:
    try:
        seen = measure(act.entry, expected)
    except ProbeError as failed:
        say(f"  {act.kind:<18} FAILED  {failed}")
        return False
    milliseconds, rate = seen.seconds * 1000, seen.rate / 1e6
    say(f"  {act.kind:<18} good    {milliseconds:6.1f} ms   {rate:6.0f} MB/s")
    return True


def _returns(act: Act, back_at: float, processes: Processes, say: Callable[[str], None]) -> bool:
    why = "nothing was tried"
    while (waited := time.monotonic() - back_at) < RETURN_PATIENCE:
        processes.check_alive()
        try:
            greet(act.entry)
        except ProbeError as failed:
            why = str(failed)
            time.sleep(LOOK_AGAIN)
            continue
        say(f"  {act.kind:<18} back    carries data {waited:.1f} s after the relay's return")
        return True
    say(f"  {act.kind:<18} FAILED  not back after {RETURN_PATIENCE:.0f} s: {why}")
    return False


def _until_up(stage: Stage, processes: Processes) -> None:
    until = time.monotonic() + START_PATIENCE
    late = "the supervisor does not answer"
    while time.monotonic() < until:
        processes.check_alive()
        try:
            with Client(stage.socket) as client:
                tunnels = client.status().tunnels
        except NoSupervisorError:
            time.sleep(LOOK_AGAIN)
            continue
        not_up = [tunnel for tunnel in tunnels if tunnel.state != "up"]
        if not not_up:
            return
        failure = not_up[0].failure
        late = f"{not_up[0].name} is {not_up[0].state}: {failure.message if failure else ''}"
        time.sleep(LOOK_AGAIN)
    raise DemoError(late)
