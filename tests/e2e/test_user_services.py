"""Services under a real `systemd --user`: ready when ready, kept alive, reloaded, confined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import connected, exchange, receive_exactly
from tests.e2e.keys import public
from tests.e2e.ports import free_port
from tests.e2e.site import host_table, tunnel_table
from tests.e2e.systemd_user import SystemdUser, forward
from tests.e2e.waiting import wait_until
from tests.requirements import require
from tunnelkeeper.systemd.unit_templates import SUPERVISOR

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = pytest.mark.timeout(300)


# -- ready when ready ------------------------------------------------------------------------------


def test_a_service_is_ready_once_each_tunnel_was_tried_and_says_what_is_wrong(
    user: SystemdUser,
) -> None:
    user.write_config(tunnel_table("db", free_port(), f'socks = "{free_port()}"'))

    user.install("--now")

    assert user.machine.property(SUPERVISOR, "ActiveState") == "active"
    status = user.machine.property(SUPERVISOR, "StatusText")
    assert status.startswith("0 of 1 up; db: refused: ")


def test_a_service_can_be_ready_only_when_its_tunnels_are_up(user: SystemdUser, site: Site) -> None:
    server, local = site.sshd(), free_port()
    server.kill()
    user.write_config(tunnel_table("db", server.port, forward(site, local)))
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


# -- kept alive ------------------------------------------------------------------------------------


def test_a_supervisor_that_is_killed_is_started_again(user: SystemdUser, port: int) -> None:
    user.install("--now")
    before = user.main_pid()

    user.machine.succeed("kill", "-KILL", str(before))
    user.wait_for_new_main_pid(before)

    assert exchange(port, b"again") == b"again"


def test_a_supervisor_that_hangs_is_started_again(user: SystemdUser, port: int) -> None:
    user.install()
    user.drop_in(SUPERVISOR, "WatchdogSec=5", "TimeoutAbortSec=1", "RestartSec=1")
    user.machine.systemctl("start", SUPERVISOR)
    before = user.main_pid()

    user.machine.succeed("kill", "-STOP", str(before))
    user.wait_for_new_main_pid(before)

    assert exchange(port, b"again") == b"again"


def test_a_supervisor_that_cannot_start_is_tried_for_ever(user: SystemdUser, port: int) -> None:
    user.install("--now")
    user.drop_in(SUPERVISOR, "RestartSec=100ms")
    good = user.config.read_text()
    user.machine.write(user.config, "tunnels = 1\n")

    user.machine.succeed("kill", "-KILL", str(user.main_pid()))
    wait_until(  # systemd gives up after five with the default of StartLimitBurst=
        lambda: int(user.machine.property(SUPERVISOR, "NRestarts")) > 7, 90, user.machine.output
    )
    user.machine.write(user.config, good)

    user.machine.wait_for_property(SUPERVISOR, "ActiveState", "active")
    assert exchange(port, b"mended") == b"mended"


def test_another_unit_is_started_whenever_the_supervisor_fails(
    user: SystemdUser, port: int
) -> None:
    alarm = user.machine.units / "alarm@.service"
    user.machine.write(alarm, "[Service]\nType=oneshot\nExecStart=/bin/touch %h/failed-%i\n")
    user.install("--now", "--on-failure", "alarm@%p.service")
    sign = user.machine.home / "failed-tunnelkeeper"

    user.machine.systemctl("restart", SUPERVISOR)
    assert not sign.exists()
    before = user.main_pid()
    user.machine.succeed("kill", "-KILL", str(before))

    wait_until(sign.exists, 60, user.machine.output)
    user.wait_for_new_main_pid(before)
    assert exchange(port, b"and goes on") == b"and goes on"


# -- reload ----------------------------------------------------------------------------------------


def test_a_reload_keeps_connections_and_a_bad_file_fails_it_visibly(
    user: SystemdUser, site: Site, port: int
) -> None:
    user.install("--now")
    good, another = user.config.read_text(), free_port()
    with connected(port) as client:
        client.sendall(b"before")
        assert receive_exactly(client, 6) == b"before"

        added = tunnel_table("web", site.sshd().port, forward(site, another))
        user.machine.write(user.config, good + added)
        user.known_hosts.write_text(site.known_hosts.read_text())
        user.machine.systemctl("reload", SUPERVISOR)
        assert exchange(another, b"added") == b"added"

        user.machine.write(user.config, "tunnels = 1\n")
        done = user.machine.run("systemctl", "--user", "reload", SUPERVISOR)
        assert done.returncode == 1
        assert user.machine.property(SUPERVISOR, "ActiveState") == "active"

        client.sendall(b"after")
        assert receive_exactly(client, 5) == b"after"


# -- what the service is let do --------------------------------------------------------------------


def test_what_a_tunnel_needs_works_under_the_restrictions(user: SystemdUser, site: Site) -> None:
    unknown, proxied = site.sshd(known=False), site.sshd()
    first, second = free_port(), free_port()
    seen = user.machine.home / "environment"
    user.machine.write(
        user.machine.home / ".ssh" / "config",
        f"Host proxied\n  HostName 127.0.0.1\n  Port {proxied.port}\n",
    )
    accepting = 'host_key_policy = "accept-new"'
    proxy = user.machine.write(
        user.machine.home / "proxy", f'#!/bin/sh\nenv > {seen}\nexec {require("ncat")} "$@"\n'
    )
    proxy.chmod(0o755)
    through = f'proxy_command = "{proxy} %h %p"'
    user.write_config(
        host_table("unknown", unknown.port, accepting),
        tunnel_table("one", "unknown", forward(site, first)),
        tunnel_table("two", "proxied", forward(site, second), through),
    )
    text = user.config.read_text().replace("ssh_config = false\n", "")
    user.machine.write(user.config, text)

    user.install("--now", "--ready", "up")

    assert exchange(first, b"learnt") == b"learnt"
    assert exchange(second, b"by proxy") == b"by proxy"
    assert public(unknown.host_key) in user.known_hosts.read_text()
    passed_on = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "PATH" in passed_on
    assert not passed_on & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"}
    assert "netlink is not allowed" not in user.machine.journal.text()
    confined = user.machine.succeed("cat", f"/proc/{user.main_pid()}/status")
    assert "NoNewPrivs:\t1\n" in confined
    assert "Seccomp:\t2\n" in confined


def test_the_log_has_priorities_and_no_time_of_its_own(user: SystemdUser) -> None:
    user.write_config(tunnel_table("db", free_port(), f'socks = "{free_port()}"'))
    user.install("--now")
    user.machine.systemctl("stop", SUPERVISOR)

    lines = user.machine.journal.lines_of("tunnelkeeper").splitlines()

    assert "<6>db: connecting" in lines
    assert any(line.startswith("<4>db: refused: ") for line in lines)
    assert "<6>ended" in lines
