"""The guard, a small shell program that ends our children's process groups if we are killed.

A process that ends by SIGKILL cannot end its children itself. The guard reads the groups that run
now from a pipe. The end of the pipe is the end of this process. It is started with the first child,
and it does not decide which groups are ours: process_group.py does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TERMINATE_TIMEOUT = 0.5
"""Seconds between SIGTERM and SIGKILL."""

EXIT_TIMEOUT = 4 * TERMINATE_TIMEOUT
"""Seconds for the guard to exit after its pipe was closed."""

_POLLS = 5

_SCRIPT = f"""
trap '' HUP INT QUIT TERM
groups=
send() {{
    found=1
    for entry in $groups; do
        group=${{entry#?}}
        case $entry in
            =*) kill -s 0 -- "$group" 2>/dev/null && continue ;;
        esac
        kill -s "$1" -- "-$group" 2>/dev/null && found=0
    done
    return $found
}}
while read -r sign group; do
    for entry in "+$group" "=$group"; do
        case $groups in
            *" $entry "*) groups="${{groups%% "$entry" *}} ${{groups#* "$entry" }}" ;;
        esac
    done
    case $sign in
        [+=]) groups="$groups $sign$group " ;;
    esac
done
send TERM || exit 0
for poll in {" ".join(map(str, range(_POLLS)))}; do
    sleep {TERMINATE_TIMEOUT / _POLLS:g}
    send 0 || exit 0
done
send KILL
"""
"""A line is a sign and the id of a group: `+` runs, `=` has lost its leader, `-` has ended.

An id without its leader belongs to another group as soon as a process has it as its own id.
"""


class ProcessGuard:
    """The running guard, or none."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the guard. Without it, our children survive us only if we are killed by SIGKILL."""
        with suppress(OSError):
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "tunnelkeeper-guard"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                start_new_session=True,  # the terminal's signals do not reach it
            )
            os.set_blocking(_pipe_of(self._process), False)

    def write(self, lines: Iterable[str]) -> bool:
        """Pass lines to the guard. Return False if it does not run."""
        if self._process is None:
            return False
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            if os.write(_pipe_of(self._process), data) == len(data):
                return True
        except OSError:  # it was killed, or it is stopped and the pipe is full
            pass
        self._process.kill()
        self.wait_closed()
        return False

    def wait_closed(self) -> None:
        """Close the pipe and wait until the guard has exited. This blocks."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        # Not wait(timeout): it sleeps between looks, which fails under a faked clock.
        killer = threading.Timer(EXIT_TIMEOUT, process.kill)
        killer.daemon = True
        killer.start()
        process.wait()
        killer.cancel()
        killer.join()


def _pipe_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None  # noqa: S101
    return process.stdin.fileno()
