"""Services under a real `systemd --user`: readiness, restarts, reload and sandboxing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connected, exchange, receive_exactly
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.sandbox import host_table, tunnel_table
from tests.e2e.systemd import UID
from tests.e2e.systemd_user import SystemdUser, forward
from tests.e2e.waiting import wait_until
from tests.requirements import require
from tunnelkeeper.systemd.unit_templates import SUPERVISOR

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

pytestmark = pytest.mark.timeout(300)


# -- readiness -------------------------------------------------------------------------------------


def test_a_service_is_ready_after_each_first_attempt_and_reports_failures(
    user: SystemdUser,
) -> None:
    user.write_config(tunnel_table("db", free_port(), f'socks = "{free_port()}"'))

    user.install("--now")

    assert user.machine.property(SUPERVISOR, "ActiveState") == "active"
    status = user.machine.property(SUPERVISOR, "StatusText")
    assert status.startswith("0 of 1 up; db: refused: ")


def test_with_ready_up_a_service_is_ready_when_its_tunnels_are_up(
    user: SystemdUser, sandbox: Sandbox
) -> None:
    server, local = sandbox.sshd(), free_port()
    server.kill()
    user.write_config(tunnel_table("db", server.port, forward(sandbox, local)))
    user.install("--ready", "up")

    user.machine.systemctl("start", "--no-block", SUPERVISOR)
    wait_until(
        lambda: "starting: 0 of 1 up; db: " in user.machine.property(SUPERVISOR, "StatusText"),
        60,
        user.machine.output,
    )

    assert user.machine.property(SUPERVISOR, "ActiveState") == "activating"
    server.start()
    user.machine.wait_for_property(SUPERVISOR, "ActiveState", "active")
    assert exchange(local, b"ready") == b"ready"


# -- restarts --------------------------------------------------------------------------------------


def test_a_killed_supervisor_is_restarted(user: SystemdUser, port: int) -> None:
    user.install("--now")
    before = user.main_pid()

    user.machine.succeed("kill", "-KILL", str(before))
    user.wait_for_new_main_pid(before)

    assert exchange(port, b"data") == b"data"


def test_a_hanging_supervisor_is_restarted(user: SystemdUser, port: int) -> None:
    user.install()
    user.drop_in(SUPERVISOR, "WatchdogSec=5", "TimeoutAbortSec=1", "RestartSec=1")
    user.machine.systemctl("start", SUPERVISOR)
    before = user.main_pid()

    user.machine.succeed("kill", "-STOP", str(before))
    user.wait_for_new_main_pid(before)

    assert exchange(port, b"data") == b"data"


def test_a_supervisor_that_cannot_start_is_restarted_forever(user: SystemdUser, port: int) -> None:
    user.install("--now")
    user.drop_in(SUPERVISOR, "RestartSec=100ms")
    valid_config = user.config.read_text()
    user.machine.write(user.config, "tunnels = 1\n")

    user.machine.succeed("kill", "-KILL", str(user.main_pid()))
    wait_until(  # the default of StartLimitBurst= would allow five starts only
        lambda: int(user.machine.property(SUPERVISOR, "NRestarts")) > 7, 90, user.machine.output
    )
    user.machine.write(user.config, valid_config)

    user.machine.wait_for_property(SUPERVISOR, "ActiveState", "active")
    assert exchange(port, b"data") == b"data"


def test_the_on_failure_unit_is_started_when_the_supervisor_fails(
    user: SystemdUser, port: int
) -> None:
    alarm = user.machine.units / "alarm@.service"
    user.machine.write(alarm, "[Service]\nType=oneshot\nExecStart=/bin/touch %h/failed-%i\n")
    user.install("--now", "--on-failure", "alarm@%p.service")
    marker = user.machine.home / "failed-tunnelkeeper"

    user.machine.systemctl("restart", SUPERVISOR)
    assert not marker.exists()
    before = user.main_pid()
    user.machine.succeed("kill", "-KILL", str(before))

    wait_until(marker.exists, 60, user.machine.output)
    user.wait_for_new_main_pid(before)
    assert exchange(port, b"data") == b"data"


# -- reload ----------------------------------------------------------------------------------------


def test_a_reload_keeps_connections_and_fails_for_an_invalid_file(
    user: SystemdUser, sandbox: Sandbox, port: int
) -> None:
    user.install("--now")
    valid_config, another = user.config.read_text(), free_port()
    with connected(port) as client:
        client.sendall(b"before")
        assert receive_exactly(client, 6) == b"before"

        added = tunnel_table("web", sandbox.sshd().port, forward(sandbox, another))
        user.machine.write(user.config, valid_config + added)
        user.known_hosts.write_text(sandbox.known_hosts.read_text())
        user.machine.systemctl("reload", SUPERVISOR)
        assert exchange(another, b"added") == b"added"

        user.machine.write(user.config, "tunnels = 1\n")
        done = user.machine.run("systemctl", "--user", "reload", SUPERVISOR)
        assert done.returncode == 1
        assert user.machine.property(SUPERVISOR, "ActiveState") == "active"

        client.sendall(b"after")
        assert receive_exactly(client, 5) == b"after"


# -- sandboxing and logging ------------------------------------------------------------------------


def test_tunnels_work_under_the_sandboxing_settings(user: SystemdUser, sandbox: Sandbox) -> None:
    unknown, proxied = sandbox.sshd(known=False), sandbox.sshd()
    first, second = free_port(), free_port()
    environment_file = user.machine.home / "environment"
    user.machine.write(
        user.machine.home / ".ssh" / "config",
        f"Host proxied\n  HostName 127.0.0.1\n  Port {proxied.port}\n",
    )
    policy = 'host_key_policy = "accept-new"'
    proxy = user.machine.write(
        user.machine.home / "proxy",
        f'#!/bin/sh\nenv > {environment_file}\nexec {require("ncat")} "$@"\n',
    )
    proxy.chmod(0o755)
    proxy_line = f'proxy_command = "{proxy} %h %p"'
    user.write_config(
        host_table("unknown", unknown.port, policy),
        tunnel_table("one", "unknown", forward(sandbox, first)),
        tunnel_table("two", "proxied", forward(sandbox, second), proxy_line),
    )
    text = user.config.read_text().replace("ssh_config = false\n", "")
    user.machine.write(user.config, text)

    user.install("--now", "--ready", "up")

    assert exchange(first, b"data") == b"data"
    assert exchange(second, b"data") == b"data"
    assert public(unknown.host_key) in user.known_hosts.read_text()
    inherited = {line.partition("=")[0] for line in environment_file.read_text().splitlines()}
    assert "PATH" in inherited
    assert not inherited & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"}
    assert "netlink is not allowed" not in user.machine.journal.text()
    process_status = user.machine.succeed("cat", f"/proc/{user.main_pid()}/status")
    assert "NoNewPrivs:\t1\n" in process_status
    assert "Seccomp:\t2\n" in process_status


def test_log_lines_have_priorities_and_no_timestamps(user: SystemdUser) -> None:
    user.write_config(tunnel_table("db", free_port(), f'socks = "{free_port()}"'))
    user.install("--now")
    user.machine.systemctl("stop", SUPERVISOR)

    lines = user.machine.journal.lines_of("tunnelkeeper").splitlines()

    assert "<6>db: connecting" in lines
    assert any(line.startswith("<4>db: refused: ") for line in lines)
    assert "<6>ended" in lines


@pytest.mark.parametrize("kind", ["service", "own name", "single tunnel"])
def test_down_says_that_systemd_starts_the_supervisor_again(user: SystemdUser, kind: str) -> None:
    user.write_config(tunnel_table("db", free_port(), f'socks = "{free_port()}"'))
    unit, options = SUPERVISOR, list[str]()
    if kind == "single tunnel":
        user.install("--now", "--per-tunnel", "db")
        unit = "tunnelkeeper@db.service"
        options = ["--socket", f"/run/user/{UID}/tunnelkeeper@db/socket"]
    else:
        user.install("--now")
    if kind == "own name":
        user.machine.systemctl("stop", unit)
        text = (user.machine.units / SUPERVISOR).read_text()
        unit = "my-tunnels.service"
        user.machine.write(user.machine.units / unit, text)
        user.machine.systemctl("daemon-reload")
        user.machine.systemctl("start", unit)

    done = user.machine.tunnelkeeper(*options, "down")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"systemd will start {unit} again" in done.stdout
    assert f"  hint: systemctl --user stop {unit}\n" in done.stdout
    user.machine.wait_for_property(unit, "NRestarts", "1")
    user.machine.systemctl("stop", unit)
