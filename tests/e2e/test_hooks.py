"""on_up and on_down: programs that run on tunnel events and cannot affect the tunnel."""

from __future__ import annotations

import json
import signal
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, tunnel_table
from tests.e2e.server_process import is_running
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program

RECORD_INPUT = """\
import json, os, sys
variables = {k: v for k, v in os.environ.items() if k.startswith("TUNNELKEEPER_") or k in PRIVATE}
with open(sys.argv[1], "a") as file:
    print(json.dumps([variables, sys.argv[2:], sys.stdin.read()]), file=file)
"""


def script(sandbox: Sandbox, body: str) -> Path:
    """Write a Python program to a file."""
    path = sandbox.subdirectory("hook") / "hook.py"
    path.write_text(dedent(body))
    return path


def recording_hook(sandbox: Sandbox) -> tuple[str, Path]:
    """Return the command of a hook that records its input, and the file it writes."""
    path = script(sandbox, f"PRIVATE = ['NOTIFY_SOCKET', 'LISTEN_FDS']\n{RECORD_INPUT}")
    record = path.parent / "record"
    record.touch()
    command = [sys.executable, str(path), str(record), "; rm -rf /", "$(id)", "a \"b\" 'c'\n"]
    return json.dumps(command), record


def read_runs(record: Path) -> list[list[object]]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def events(record: Path) -> list[tuple[str, str]]:
    """Return the event and the state of each run."""
    pairs = []
    for environment, *_ in read_runs(record):
        assert isinstance(environment, dict)
        pairs.append((environment["TUNNELKEEPER_EVENT"], environment["TUNNELKEEPER_STATE"]))
    return pairs


def program_with(sandbox: Sandbox, *lines: str) -> Program:
    """Create a program whose tunnel `t` has a local forward and these lines."""
    server = sandbox.sshd()
    local = f'local = "{free_port()}:{sandbox.service(echo)}"'
    return sandbox.program(tunnel_table("t", server.port, local, *lines))


def port_of(program: Program) -> int:
    return int(program.tunnel("t").forwards[0].listen.rpartition(":")[2])


def test_hooks_get_the_event_and_arguments_without_a_shell(sandbox: Sandbox) -> None:
    command, record = recording_hook(sandbox)
    program = program_with(sandbox, f"on_up = {command}", f"on_down = {command}")
    program.environment["NOTIFY_SOCKET"] = "@unused"
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: len(read_runs(record)) == 1, 10)

    program.succeed("down", "t")

    wait_until(lambda: len(read_runs(record)) == 2, 10)
    arguments = ["; rm -rf /", "$(id)", "a \"b\" 'c'\n"]
    common = {"TUNNELKEEPER_CAUSE": "", "TUNNELKEEPER_MESSAGE": "", "TUNNELKEEPER_TUNNEL": "t"}
    up = {"TUNNELKEEPER_EVENT": "up", "TUNNELKEEPER_STATE": "up", **common}
    down = {"TUNNELKEEPER_EVENT": "down", "TUNNELKEEPER_STATE": "stopping", **common}
    assert read_runs(record) == [[up, arguments, ""], [down, arguments, ""]]


def test_on_down_gets_the_cause_and_the_message(sandbox: Sandbox) -> None:
    command, record = recording_hook(sandbox)
    server = sandbox.sshd()
    local = f'local = "{free_port()}:{sandbox.service(echo)}"'
    program = sandbox.program(tunnel_table("t", server.port, local, f"on_down = {command}"))
    program.up()
    program.wait_until_up("t")

    server.kill()

    wait_until(lambda: read_runs(record), 10)
    [[environment, *_]] = read_runs(record)
    assert isinstance(environment, dict)
    assert environment["TUNNELKEEPER_STATE"] == "backoff"
    assert environment["TUNNELKEEPER_CAUSE"] == "lost"
    assert environment["TUNNELKEEPER_MESSAGE"]


def test_on_down_runs_when_the_supervisor_stops(sandbox: Sandbox) -> None:
    command, record = recording_hook(sandbox)
    program = program_with(sandbox, f"on_up = {command}", f"on_down = {command}")
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: read_runs(record), 10)

    assert program.stop() == 0

    assert events(record) == [("up", "up"), ("down", "stopping")]


def test_a_hanging_hook_blocks_nothing_and_is_killed_with_its_children(sandbox: Sandbox) -> None:
    pids = sandbox.directory / "pids"
    hanging = script(
        sandbox,
        f"""\
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}\\n")
        time.sleep(600)
        """,
    )
    command = json.dumps([sys.executable, str(hanging)])
    program = program_with(sandbox, f"on_up = {command}", "hook_timeout = 3")
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), 10)
    started = [int(pid) for pid in pids.read_text().split()]

    assert exchange(port_of(program), b"data") == b"data"

    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in started), 15)
    wait_until(lambda: "on_up: ended, as it took longer than 3 s" in program.log(), 5)
    assert program.tunnel("t").state == "up"


def test_a_hanging_hook_does_not_delay_the_exit(sandbox: Sandbox) -> None:
    command, record = recording_hook(sandbox)
    started = sandbox.directory / "started"
    hanging = script(sandbox, f"import time; open({str(started)!r}, 'w'); time.sleep(600)")
    program = program_with(
        sandbox, f'on_up = ["{sys.executable}", "{hanging}"]', f"on_down = {command}"
    )
    program.up()
    program.wait_until_up("t")
    wait_until(started.exists, 10)

    assert program.stop() == 0  # stop() also limits the time

    assert events(record) == [("down", "stopping")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_that_a_hook_leaves_runs_until_the_supervisor_ends(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    pid_file = sandbox.directory / "pid"
    forking = script(
        sandbox,
        f"""\
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pid_file)!r}, "w").write(f"{{child.pid}}\\n")
        print("child started", flush=True)
        """,
    )
    command, record = recording_hook(sandbox)
    program = program_with(
        sandbox, f'on_up = ["{sys.executable}", "{forking}"]', f"on_down = {command}"
    )
    program.up()
    wait_until(lambda: "on_up: child started" in program.log(), 15)

    program.succeed("down", "t")

    wait_until(lambda: events(record) == [("down", "stopping")], 10)
    child = psutil.Process(int(pid_file.read_text()))
    assert is_running(child)

    program.stop(number)

    wait_until(lambda: not is_running(child), 10, "the child still runs")


def test_errors_and_output_of_hooks_are_logged(sandbox: Sandbox) -> None:
    verbose_hook = script(
        sandbox,
        """\
        import sys
        print("\\x1b[31mred\\x1b[0m")
        for number in range(100):
            print("line", number, "x" * 1000)
        sys.exit(3)
        """,
    )
    program = program_with(
        sandbox, f"on_up = '{sys.executable} {verbose_hook}'", 'on_down = "/no/such/program"'
    )
    checked = program.run("check")
    assert checked.returncode == 2
    assert (
        "on_down: /no/such/program is not an executable program" in checked.stdout + checked.stderr
    )
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: "on_up: ended with exit status 3" in program.log(), 15)
    program.succeed("down", "t")

    wait_until(lambda: "on_down: /no/such/program cannot be started" in program.log(), 10)
    log = program.log()
    assert "on_up: \\x1b[31mred" in log
    assert "line 18" in log
    assert "line 19" not in log
    assert max(map(len, log.splitlines())) < 500


def test_programs_we_run_get_the_limit_of_open_files_that_we_started_with(sandbox: Sandbox) -> None:
    record = sandbox.directory / "limits"
    script_text = f"echo $0 $(ulimit -S -n) >> {record}"
    ssh_config = sandbox.directory / "ssh_config"
    ssh_config.write_text(f"Match exec \"sh -c '{script_text}' match\"\n")
    program = sandbox.program(
        tunnel_table(
            "t",
            sandbox.sshd().port,
            f'socks = "{free_port()}"',
            f"on_up = ['sh', '-c', '{script_text}', 'hook']",
        ),
        head=sandbox.head(f'"{ssh_config}"'),
    )
    program.command_prefix = ("sh", "-c", 'ulimit -S -n 333; exec "$@"', "sh")
    program.up()
    program.wait_until_up("t")

    wait_until(lambda: "hook" in record.read_text(), 10)
    assert set(record.read_text().splitlines()) == {"match 333", "hook 333"}
