"""`tunnelkeeper relay serve|status|check|reload`, as an administrator uses them."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import exchange
from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.relay.openssh_client import GREETING, Ssh
from tests.relay.relay_process import RelayProcess, authorized_keys_line, start_relay
from tunnelkeeper.relay import ban_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox

WITHOUT_PENALTIES = {"penalties": False}


def run(relay: RelayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment of a relay, which may be stopped."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=relay.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def stopped_relay(sandbox: Sandbox) -> RelayProcess:
    """Return a relay that is not running."""
    return RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)


def test_status_shows_clients_and_their_bindings(sandbox: Sandbox) -> None:
    relay, service, port = start_relay(sandbox), sandbox.service(echo), free_port()
    with Ssh(sandbox, relay) as ssh:
        ssh.tunnel("-R", f"{port}:{service}", "-R", f"home:22:{service}")
        relay.wait_until_bound(f"localhost:{port}", "home:22")
        assert exchange(port, b"12345") == b"12345"
        refused = ssh.run("-N", "-R", f"{port + 1}:x:1", key=make_key(sandbox.directory / "other"))
        assert refused.returncode != 0
        table, status = relay.run("status"), json.loads(relay.run("status", "--json").stdout)

    assert table.returncode == 0
    lines = table.stdout.splitlines()
    assert lines[0] == f"listening on 127.0.0.1:{relay.port}; 1 connected"
    assert lines[1].split() == [
        *["USER", "ADDRESS", "HOLDS", "SINCE", "CHANNELS", "IN", "/", "OUT"]
    ]
    assert lines[2].split()[0] == "box"
    assert lines[2].split()[2] == f"localhost:{port}"
    assert lines[3].split() == ["home:22"]
    assert lines[5].startswith("refused since ")
    assert "this key is not authorized" in lines[-1]
    [client] = status["clients"]
    assert (client["bytes_in"], client["bytes_out"]) == (5, 5)
    assert client["version"].startswith("SSH-2.0-OpenSSH")
    assert client["key"].startswith("SHA256:")
    assert client["line"] == f"{sandbox.authorized_keys}:1"
    assert [hold["kind"] for hold in client["holds"]] == ["port", "name"]
    assert status["refusals"]["logins"] == 1
    assert status["listen"] == [f"127.0.0.1:{relay.port}"]


def test_a_reload_keeps_connections_but_those_of_removed_keys(sandbox: Sandbox) -> None:
    kept_line = sandbox.authorized_keys.read_text()
    other_key = make_key(sandbox.directory / "other")
    sandbox.authorized_keys.write_text(kept_line + authorized_keys_line(other_key))
    relay, service, port = (
        start_relay(sandbox, limits=WITHOUT_PENALTIES),
        sandbox.service(echo),
        free_port(),
    )
    with Ssh(sandbox, relay) as ssh:
        ssh.tunnel("-R", f"{port}:{service}")
        removed = ssh.tunnel("-R", f"home:22:{service}", key=other_key)
        relay.wait_until_bound(f"localhost:{port}", "home:22")
        sandbox.authorized_keys.write_text(kept_line)
        relay.write_config(limits=WITHOUT_PENALTIES, permit_listen=["*:1"], listen=["127.0.0.1:1"])
        reloaded = relay.run("reload")

        *changes, disconnected = reloaded.stdout.splitlines()
        assert changes == [
            "authorized keys are read again",
            "listen changed and takes effect after a restart",
            "permit_listen changed",
        ]
        assert disconnected.startswith("disconnected box@127.0.0.1:")
        assert disconnected.endswith(": this key is not authorized")
        assert removed.wait(20) != 0
        assert exchange(port, b"still forwarded") == b"still forwarded"
        assert GREETING not in ssh.run(key=other_key).stderr
        assert GREETING in ssh.run().stderr
        assert "remote port forwarding failed" in ssh.run("-R", "0:x:1").stderr


def test_a_bad_file_changes_nothing_on_reload(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox, limits=WITHOUT_PENALTIES)
    relay.config.write_text("gateway_ports = 7\nnmaes = true\n")
    reloaded = relay.run("reload")

    assert reloaded.returncode == 2
    assert f"{relay.config}:1: gateway_ports: " in reloaded.stderr
    assert f"{relay.config}:2: nmaes: unknown key\n  hint: did you mean 'names'?" in reloaded.stderr
    relay.send_signal(signal.SIGHUP)
    wait_until(lambda: "nothing was changed" in relay.log(), 5, relay.log)
    with Ssh(sandbox, relay) as ssh:
        assert GREETING in ssh.run().stderr


def test_sighup_reloads(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox, limits=WITHOUT_PENALTIES)
    relay.write_config(limits=WITHOUT_PENALTIES, names=False)
    relay.send_signal(signal.SIGHUP)

    wait_until(lambda: "names changed" in relay.log(), 5, relay.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_relay_and_leaves_no_files_behind(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    relay, port = start_relay(sandbox), free_port()
    with Ssh(sandbox, relay) as ssh:
        client = ssh.tunnel("-R", f"{port}:x:1")
        relay.wait_until_bound(f"localhost:{port}")
        assert relay.end(number) == 0
        assert client.wait(5) != 0
        ssh._running.clear()

    assert not list((relay.directory / "tunnelkeeper").glob("*.sock"))
    assert "Traceback" not in relay.log()
    assert relay.log().splitlines()[-1].endswith("stopped")


def test_a_second_relay_of_a_file_leaves_the_first_alone(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    second = relay.run("serve", "--config", str(relay.config), "--listen", "127.0.0.1:0")

    assert second.returncode == 1
    assert "another relay holds" in second.stderr
    with Ssh(sandbox, relay) as ssh:
        assert GREETING in ssh.run().stderr


def test_relays_of_two_files_run_side_by_side(sandbox: Sandbox) -> None:
    first = start_relay(sandbox)
    second = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)
    second.environment["XDG_RUNTIME_DIR"] = str(first.directory)
    started = subprocess.Popen(
        [*COMMAND, "relay", "serve", "--config", str(second.config)],
        env=second.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        folder = first.directory / "tunnelkeeper-relay"
        wait_until(lambda: len([*folder.glob("relay*.sock")]) == 2, 20, "the second does not run")
        completed = first.run("status")
        assert completed.returncode == 2
        assert "2 relays are running\n  hint: choose one" in completed.stderr
        named = first.run("status", "--config", str(second.config))
        assert f"listening on 127.0.0.1:{second.port};" in named.stdout
    finally:
        started.terminate()
        started.wait(5)


def test_command_line_options_override_the_file(
    stopped_relay: RelayProcess, sandbox: Sandbox
) -> None:
    port, keys = free_port(), sandbox.directory / "keys"
    keys.write_text(authorized_keys_line(sandbox.key))
    options = ["--listen", f"127.0.0.1:{port}", "--authorized-keys", str(keys)]
    options += ["--host-key", str(sandbox.directory / "fresh_key")]
    process = subprocess.Popen(
        [*COMMAND, "relay", "serve", "--config", str(stopped_relay.config), *options],
        env=stopped_relay.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert f"listens on 127.0.0.1:{port}" in process.stderr.readline()
        assert (sandbox.directory / "fresh_key").stat().st_mode & 0o777 == 0o600
    finally:
        process.terminate()
        assert process.wait(5) == 0
        process.stderr.close()  # type: ignore[union-attr]


def test_status_and_reload_report_that_no_relay_is_running(stopped_relay: RelayProcess) -> None:
    for command in ("status", "reload"):
        completed = stopped_relay.run(command)
        assert completed.returncode == 3
        assert ": no relay is running" in completed.stderr
        assert "tunnelkeeper relay serve" in completed.stderr


def test_a_port_in_use_is_named_in_the_error(stopped_relay: RelayProcess, sandbox: Sandbox) -> None:
    used_port = sandbox.service(echo).port
    listen = f"127.0.0.1:{used_port}"
    completed = stopped_relay.run(
        "serve", "--config", str(stopped_relay.config), "--listen", listen
    )

    assert completed.returncode == 1
    assert f"cannot listen on {listen}: port {used_port} is taken by " in completed.stderr


def test_check_prints_nothing_for_a_valid_configuration(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    completed = relay.run("check", "--config", str(relay.config))

    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


def test_check_names_problems_and_warnings(stopped_relay: RelayProcess, sandbox: Sandbox) -> None:
    stopped_relay.config.write_text('listen = "x"\n[limits]\nlogin_grace = "long"\n')
    bad = stopped_relay.run("check", "--config", str(stopped_relay.config))
    assert bad.returncode == 2
    assert [line.split(": ")[0] for line in bad.stderr.splitlines()] == [
        f"{stopped_relay.config}:1",
        f"{stopped_relay.config}:3",
    ]

    sandbox.authorized_keys.write_text("ssh-ed25519 nonsense\n")
    stopped_relay.write_config()
    warned = stopped_relay.run("check", "--config", str(stopped_relay.config))
    assert warned.returncode == 0
    assert "no host key yet" in warned.stderr
    assert f"warning: {sandbox.authorized_keys}:1: " in warned.stderr


def test_a_config_file_named_on_the_command_line_must_exist(stopped_relay: RelayProcess) -> None:
    stopped_relay.config.unlink()
    for command in ("serve", "check"):
        completed = stopped_relay.run(command, "--config", str(stopped_relay.config))
        assert completed.returncode == 2
        assert "no such file" in completed.stderr


def test_without_a_config_file_the_defaults_apply(
    stopped_relay: RelayProcess, tmp_path: Path
) -> None:
    stopped_relay.environment["XDG_CONFIG_HOME"] = str(tmp_path)
    completed = stopped_relay.run("check")

    assert completed.returncode == 0
    keys = tmp_path / "tunnelkeeper-relay" / "authorized_keys"
    assert f"warning: {keys}: no such file" in completed.stderr


def test_a_host_key_that_others_can_read_is_refused(stopped_relay: RelayProcess) -> None:
    key = make_key(stopped_relay.directory / "relay_host_key")
    key.chmod(0o644)
    for command in ("serve", "check"):
        completed = stopped_relay.run(command, "--config", str(stopped_relay.config))
        assert completed.returncode == 2
        assert f"others can read it (mode 0644)\n  hint: chmod 600 {key}" in completed.stderr


def test_status_imports_neither_ssh_nor_asyncio(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    code = (
        "import sys; from tunnelkeeper.cli.main import run; run(['relay', 'status']); "
        "print({'asyncssh', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    )
    completed = subprocess.run(
        [COMMAND[0], "-c", code],
        env=relay.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert completed.stderr == "set()\n"


# -- kick and ban ----------------------------------------------------------------------------------


def test_kick_disconnects_a_client_which_may_log_in_again(sandbox: Sandbox) -> None:
    relay, service = start_relay(sandbox), sandbox.service(echo)
    with Ssh(sandbox, relay) as ssh:
        kicked = ssh.tunnel("-R", f"home:22:{service}")
        relay.wait_until_bound("home:22")

        done = relay.run("kick", "box")

        assert done.returncode == 0
        assert done.stdout.startswith("disconnected box@127.0.0.1:")
        assert kicked.wait(20) != 0
        assert GREETING in ssh.run().stderr
    absent = relay.run("kick", "box")
    assert absent.returncode == 4
    assert "no client is connected as user 'box'" in absent.stderr


def test_a_ban_of_a_key_survives_a_restart_and_ends_with_unban(sandbox: Sandbox) -> None:
    relay, service = start_relay(sandbox, limits=WITHOUT_PENALTIES), sandbox.service(echo)
    with Ssh(sandbox, relay) as ssh:
        banned = ssh.tunnel("-R", f"home:22:{service}")
        relay.wait_until_bound("home:22")
        fingerprint = relay.status()["clients"][0]["key"]

        done = json.loads(relay.run("ban", fingerprint, "--for", "1h", "--json").stdout)

        assert done["target"] == fingerprint
        assert done["problem"] is None
        assert len(done["disconnected"]) == 1
        assert banned.wait(20) != 0
        assert GREETING not in ssh.run().stderr

        relay.end(signal.SIGTERM)
        relay.start()
        assert [ban["target"] for ban in relay.status()["bans"]] == [fingerprint]
        assert f"{fingerprint}: until " in relay.run("status").stdout
        assert GREETING not in ssh.run().stderr
        [file] = relay.directory.glob("tunnelkeeper-relay/bans-*.json")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

        assert relay.run("unban", fingerprint).stdout == f"unbanned {fingerprint}\n"
        assert GREETING in ssh.run().stderr
        assert not file.exists()
    again = relay.run("unban", fingerprint)
    assert again.returncode == 4
    assert f"{fingerprint} is not banned" in again.stderr


def test_a_relay_does_not_start_without_its_bans(
    stopped_relay: RelayProcess, sandbox: Sandbox
) -> None:
    folder = stopped_relay.directory / "tunnelkeeper-relay"
    folder.mkdir()
    file = ban_file.path_for(stopped_relay.config, {"XDG_STATE_HOME": str(stopped_relay.directory)})
    file.write_text("nonsense")

    done = stopped_relay.run("serve", "--config", str(stopped_relay.config))

    assert done.returncode == 2
    assert f"cannot read the bans in {file}: " in done.stderr
    assert "repair the file, or remove it" in done.stderr


@pytest.mark.parametrize("duration", ["0", "-1", "soon", "101y", "1e9"])
def test_a_ban_needs_a_valid_duration(stopped_relay: RelayProcess, duration: str) -> None:
    done = stopped_relay.run("ban", "192.0.2.7", "--for", duration)

    assert done.returncode == 2
    assert "duration" in done.stderr


def test_the_relay_logs_at_its_start_what_check_reports(sandbox: Sandbox) -> None:
    sandbox.authorized_keys.write_text(f"{sandbox.authorized_keys.read_text()}nonsense\n")
    relay = start_relay(sandbox, names=True)

    warnings = ("every key in authorized_keys may log in as any user", "expected a key type")
    wait_until(lambda: all(warning in relay.log() for warning in warnings), 10, relay.log)
    checked = relay.run("check", "--config", str(relay.config))
    assert checked.returncode == 0
    for warning in warnings:
        assert warning in checked.stderr + checked.stdout


def test_status_lists_what_left(sandbox: Sandbox) -> None:
    relay = start_relay(sandbox)
    with Ssh(sandbox, relay) as ssh:
        ssh.tunnel("-R", "home:22:localhost:9")
        relay.wait_until_bound("home:22")
        assert relay.run("status").stdout.count("not connected") == 0
    relay.wait_until_bound()

    assert [left["listen"] for left in relay.status()["left"]] == ["home:22"]
    status = relay.run("status").stdout
    assert "not connected:\nhome:22  box@127.0.0.1:" in status
    assert " s ago\n" in status
