"""on_up and on_down: programs that run beside a tunnel and can do it no harm."""

from __future__ import annotations

import json
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import psutil

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.e2e.site import Site, tunnel_table
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.program import Program

TELL = """\
import json, os, sys
told = {k: v for k, v in os.environ.items() if k.startswith("TUNNELKEEPER_") or k in PRIVATE}
with open(sys.argv[1], "a") as file:
    print(json.dumps([told, sys.argv[2:], sys.stdin.read()]), file=file)
"""


def script(site: Site, body: str) -> Path:
    """Write a Python program of the test."""
    path = site.subdirectory("hook") / "hook.py"
    path.write_text(dedent(body))
    return path


def telling(site: Site) -> tuple[str, Path]:
    """Return a hook that records its input, and the file it writes to."""
    path = script(site, f"PRIVATE = ['NOTIFY_SOCKET', 'LISTEN_FDS']\n{TELL}")
    record = path.parent / "record"
    record.touch()
    words = [sys.executable, str(path), str(record), "; rm -rf /", "$(id)", "a \"b\" 'c'\n"]
    return json.dumps(words), record


def recorded(record: Path) -> list[list[object]]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def events(record: Path) -> list[tuple[str, str]]:
    """Return the event and the state of each run."""
    found = []
    for environment, *_ in recorded(record):
        assert isinstance(environment, dict)
        found.append((environment["TUNNELKEEPER_EVENT"], environment["TUNNELKEEPER_STATE"]))
    return found


def program_with(site: Site, *lines: str) -> Program:
    """Create a program whose tunnel `t` has a port and these lines."""
    server = site.sshd()
    local = f'local = "{free_port()}:{site.service(echo)}"'
    return site.program(tunnel_table("t", server.port, local, *lines))


def port_of(program: Program) -> int:
    return int(program.tunnel("t").forwards[0].listen.rpartition(":")[2])


def test_hooks_get_the_event_and_no_shell_reads_their_arguments(site: Site) -> None:
    command, record = telling(site)
    program = program_with(site, f"on_up = {command}", f"on_down = {command}")
    program.environment["NOTIFY_SOCKET"] = "@nobody"
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: len(recorded(record)) == 1, 10)

    program.succeed("down", "t")

    wait_until(lambda: len(recorded(record)) == 2, 10)
    words = ["; rm -rf /", "$(id)", "a \"b\" 'c'\n"]
    nothing = {"TUNNELKEEPER_CAUSE": "", "TUNNELKEEPER_MESSAGE": "", "TUNNELKEEPER_TUNNEL": "t"}
    up = {"TUNNELKEEPER_EVENT": "up", "TUNNELKEEPER_STATE": "up", **nothing}
    down = {"TUNNELKEEPER_EVENT": "down", "TUNNELKEEPER_STATE": "stopping", **nothing}
    assert recorded(record) == [[up, words, ""], [down, words, ""]]


def test_on_down_gets_the_cause_in_the_servers_own_words(site: Site) -> None:
    command, record = telling(site)
    server = site.sshd()
    local = f'local = "{free_port()}:{site.service(echo)}"'
    program = site.program(tunnel_table("t", server.port, local, f"on_down = {command}"))
    program.up()
    program.wait_until_up("t")

    server.kill()

    wait_until(lambda: recorded(record), 10)
    [[environment, *_]] = recorded(record)
    assert isinstance(environment, dict)
    assert environment["TUNNELKEEPER_STATE"] == "backoff"
    assert environment["TUNNELKEEPER_CAUSE"] == "lost"
    assert environment["TUNNELKEEPER_MESSAGE"]


def test_at_the_end_of_the_supervisor_on_down_still_runs(site: Site) -> None:
    command, record = telling(site)
    program = program_with(site, f"on_up = {command}", f"on_down = {command}")
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: recorded(record), 10)

    assert program.stop() == 0

    assert events(record) == [("up", "up"), ("down", "stopping")]


def test_a_hook_that_hangs_blocks_nothing_and_is_ended_with_all_it_started(site: Site) -> None:
    pids = site.directory / "pids"
    hanging = script(
        site,
        f"""\
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}\\n")
        time.sleep(600)
        """,
    )
    command = json.dumps([sys.executable, str(hanging)])
    program = program_with(site, f"on_up = {command}", "hook_timeout = 3")
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), 10)
    started = [int(pid) for pid in pids.read_text().split()]

    assert exchange(port_of(program), b"it works") == b"it works"

    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in started), 15)
    wait_until(lambda: "on_up: ended, as it took longer than 3 s" in program.log(), 5)
    assert program.tunnel("t").state == "up"


def test_a_hook_that_hangs_does_not_hold_up_the_end(site: Site) -> None:
    command, record = telling(site)
    started = site.directory / "started"
    hanging = script(site, f"import time; open({str(started)!r}, 'w'); time.sleep(600)")
    program = program_with(
        site, f'on_up = ["{sys.executable}", "{hanging}"]', f"on_down = {command}"
    )
    program.up()
    program.wait_until_up("t")
    wait_until(started.exists, 10)

    assert program.stop() == 0  # which also checks the time

    assert events(record) == [("down", "stopping")]


def test_a_hook_that_leaves_a_child_behind_is_over_when_it_ends_itself(site: Site) -> None:
    pid_file = site.directory / "pid"
    forking = script(
        site,
        f"""\
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pid_file)!r}, "w").write(f"{{child.pid}}\\n")
        print("the child is out", flush=True)
        """,
    )
    command, record = telling(site)
    program = program_with(
        site, f'on_up = ["{sys.executable}", "{forking}"]', f"on_down = {command}"
    )
    program.up()
    wait_until(lambda: "on_up: the child is out" in program.log(), 15)

    program.succeed("down", "t")

    wait_until(lambda: events(record) == [("down", "stopping")], 10)
    child = psutil.Process(int(pid_file.read_text()))
    assert child.is_running()
    child.kill()


def test_what_goes_wrong_with_a_hook_is_a_line_of_the_log(site: Site) -> None:
    loud = script(
        site,
        """\
        import sys
        print("\\x1b[31mred\\x1b[0m")
        for number in range(100):
            print("line", number, "x" * 1000)
        sys.exit(3)
        """,
    )
    program = program_with(
        site, f"on_up = '{sys.executable} {loud}'", 'on_down = "/no/such/program"'
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


def test_what_we_run_gets_the_limit_of_open_files_that_we_were_started_with(site: Site) -> None:
    record = site.directory / "limits"
    tell = f"echo $0 $(ulimit -S -n) >> {record}"
    ssh_config = site.directory / "ssh_config"
    ssh_config.write_text(f"Match exec \"sh -c '{tell}' match\"\n")
    program = site.program(
        tunnel_table(
            "t",
            site.sshd().port,
            f'socks = "{free_port()}"',
            f"on_up = ['sh', '-c', '{tell}', 'hook']",
        ),
        head=site.head(f'"{ssh_config}"'),
    )
    program.command_prefix = ("sh", "-c", 'ulimit -S -n 333; exec "$@"', "sh")
    program.up()
    program.wait_until_up("t")

    wait_until(lambda: "hook" in record.read_text(), 10)
    assert set(record.read_text().splitlines()) == {"match 333", "hook 333"}
