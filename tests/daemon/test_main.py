"""The supervisor process: exit codes, socket, lock, signals and shutdown."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tunnelkeeper
from tests.daemon.harness import supervisor_harness
from tests.e2e.ports import free_port
from tests.e2e.waiting import wait_until
from tests.fake_clock import DEADLINE, FakeClock
from tests.ssh.waiting import until
from tunnelkeeper import paths
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.unix_socket import acquire_lock
from tunnelkeeper.daemon import main
from tunnelkeeper.tunnel.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.snapshot import TunnelSnapshot

SOURCE = Path(tunnelkeeper.__file__).parents[1]
HEAD = "[supervisor]\nssh_config = false\n"
TUNNELS = f"""{HEAD}
[tunnels.db]
host = "127.0.0.1:1"
remote = "2201:localhost:22"
autostart = false
groups = ["work"]
"""


@pytest.fixture(autouse=True)
def restore_loggers() -> Iterator[None]:
    """Restore the loggers, which the supervisor reconfigures."""
    loggers = [logging.getLogger(name) for name in ("tunnelkeeper", "asyncio")]
    before = [(list(logger.handlers), logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate


@pytest.fixture
def sock(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def config(folder: Path, text: str = TUNNELS) -> str:
    file = folder / "tunnels.toml"
    file.write_text(text)
    return str(file)


def client_of(path: Path) -> Client:
    """Wait until the supervisor serves its socket. Return a connection to it."""

    def connected() -> Client | None:
        with suppress(NoSupervisorError, OSError):
            return Client(path)
        return None

    return wait_until(connected, within=DEADLINE, message=f"no supervisor serves {path}")


# -- startup errors ------------------------------------------------------------------------------


def test_every_problem_of_a_bad_file_is_reported(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(tmp_path, '[supervisor]\nlog_level = "loud"\n[tunnels.db]\nhots = "relay"\n')

    assert main.run(file, sock, (), None) == 2

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{file}:2", f"{file}:4", "  hint"]
    assert not sock.parent.exists()


@pytest.mark.parametrize(
    ("names", "group", "message"),
    [
        (("db", "dbb"), None, "no tunnel is named 'dbb'\n  hint: did you mean 'db'?"),
        ((), "wrok", "no tunnel is in a group 'wrok'\n  hint: did you mean 'work'?"),
        (("db",), "wrok", "no tunnel is in a group 'wrok'\n  hint: did you mean 'work'?"),
    ],
)
def test_an_unknown_tunnel_or_group_is_an_error(
    tmp_path: Path,
    sock: Path,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    group: str | None,
    message: str,
) -> None:
    assert main.run(config(tmp_path), sock, names, group) == 4

    assert capsys.readouterr().err == f"tunnelkeeper: {tmp_path}/tunnels.toml: {message}\n"
    assert not sock.parent.exists()


def test_a_second_supervisor_leaves_the_first_alone(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sock.parent.mkdir(mode=0o700)
    sock.touch()
    harness = acquire_lock(paths.lock_path(sock))

    assert main.run(config(tmp_path), sock, (), None) == 1

    os.close(harness)
    assert "another supervisor holds" in capsys.readouterr().err
    assert sock.exists()


def test_a_directory_writable_by_others_is_refused(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sock.parent.mkdir()
    sock.parent.chmod(0o777)

    assert main.run(config(tmp_path), sock, (), None) == 1

    assert "others can write to it" in capsys.readouterr().err


def test_a_regular_file_at_the_socket_path_is_left_alone(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sock.parent.mkdir(mode=0o700)
    sock.write_text("precious")

    assert main.run(config(tmp_path), sock, (), None) == 1

    output = capsys.readouterr().err
    assert output == (
        f"tunnelkeeper: cannot serve {sock}: {sock}: exists and is not a socket\n"
        "  hint: remove it, or choose another path with --socket PATH\n"
    )
    assert sock.read_text() == "precious"


def test_an_internal_error_is_not_reported_as_a_socket_error(
    tmp_path: Path, sock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("unexpected error")

    monkeypatch.setattr(main, "lookup_for", fail)

    with pytest.raises(RuntimeError, match="unexpected error"):
        main.run(config(tmp_path), sock, (), None)


# -- runs in this process ------------------------------------------------------------------------


@contextmanager
def query_and_shutdown(path: Path) -> Iterator[list[str]]:
    """Query and end the supervisor in the body from a client of its socket."""
    states: list[str] = []

    def query_and_shut_down() -> None:
        with client_of(path) as client:
            states.extend(tunnel.state for tunnel in client.status().tunnels)
            client.shutdown()

    thread = threading.Thread(target=query_and_shut_down)
    thread.start()
    yield states
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_it_starts_the_requested_tunnels_and_ends_on_shutdown(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with query_and_shutdown(sock) as states:
        assert main.run(config(tmp_path), sock, ("db",), "work") == 0

    assert states in (["connecting"], ["backoff"])
    assert not sock.exists()
    output = capsys.readouterr().err.splitlines()
    assert f"tunnelkeeper {tunnelkeeper.__version__} holds" in output[0]
    texts = [line.split(maxsplit=1)[1] for line in output]
    assert "info    ending" in texts
    assert texts[-2:] == ["info    db: stopped", "info    ended"]


def test_log_level_and_format_come_from_the_config_file(
    tmp_path: Path, sock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TUNNELS.replace(HEAD, f'{HEAD}log_format = "json"\nlog_level = "warning"\n')
    with query_and_shutdown(sock) as states:
        assert main.run(config(tmp_path, text + 'host_key_policy = "no"\n'), sock, (), None) == 0

    assert states == ["stopped"]
    [line] = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["level"] == "warning"
    assert "host_key_policy" in record["message"]


async def test_warnings_and_unhandled_exceptions_are_in_the_log() -> None:
    journal, loop = EventLog(FakeClock()), asyncio.get_running_loop()
    before = loop.get_exception_handler()
    main._redirect_logging(journal, loop)

    logging.getLogger("tunnelkeeper.ssh").warning("slow")
    logging.getLogger("asyncio").error("socket.send() raised exception")
    loop.call_exception_handler({"message": "in a callback", "exception": ValueError("why")})
    loop.call_exception_handler({"message": "no exception at hand"})

    loop.set_exception_handler(before)
    assert [(record.level, record.message) for record in journal.tail(None, 10)] == [
        ("warning", "slow"),
        ("error", "socket.send() raised exception"),
        ("error", "in a callback: ValueError: why"),
        ("error", "no exception at hand"),
    ]


async def test_a_tunnel_that_does_not_close_in_time_is_aborted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the tunnel to begin its end on a busy machine.
    monkeypatch.setattr(main, "SHUTDOWN_TIMEOUT", 0.5)
    text = '[tunnels.db]\nhost = "relay"\nremote = "2201:localhost:22"\n'
    async with supervisor_harness(tmp_path, text) as harness:
        await harness.start_and_connect("db", "relay")
        harness.pool.may_close.clear()
        try:
            await main._close(harness.supervisor)
            await until(lambda: harness.pool.open_connections == [])
        finally:
            harness.pool.may_close.set()


# -- runs in a separate process ------------------------------------------------------------------

SCRIPT_WITH_HANGING_NAME_SERVER = """
import socket, sys, threading
from pathlib import Path
from tunnelkeeper.daemon import main

original = socket.getaddrinfo

def getaddrinfo(host, *args, **kwargs):
    if str(host).endswith(".hangs"):
        print("query for", host, flush=True)
        threading.Event().wait()
    return original(host, *args, **kwargs)

socket.getaddrinfo = getaddrinfo
main.SHUTDOWN_TIMEOUT = float(sys.argv[3])
sys.exit(main.run(sys.argv[1], Path(sys.argv[2]), (), None))
"""


@contextmanager
def supervisor_process(
    file: str, sock: Path, shutdown_timeout: float = main.SHUTDOWN_TIMEOUT
) -> Iterator[subprocess.Popen[str]]:
    """Start the supervisor as a process whose name server never answers for `.hangs`."""
    command = [sys.executable, "-c", SCRIPT_WITH_HANGING_NAME_SERVER, file, str(sock)]
    command.append(str(shutdown_timeout))
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end_with_signal(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal, and wait until the process has exited. Return its output."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    return output


def wait_for_query(host: str, process: subprocess.Popen[str]) -> None:
    """Wait until a thread of the process has queried the name server."""
    assert process.stdout is not None
    while process.stdout.readline() != f"query for {host}\n":
        assert process.poll() is None


def phase_of(tunnel: TunnelSnapshot) -> str:
    return tunnel.progress.step if tunnel.progress else tunnel.state


def test_a_signal_ends_it_at_once_in_every_phase_of_its_tunnels(tmp_path: Path, sock: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = f"""{HEAD}
            [tunnels.resolving]
            host = "server.hangs"
            local = "{port}:db:5432"
            [tunnels.silent]
            host = "127.0.0.1:{silent.getsockname()[1]}"
            [tunnels.refused]
            host = "127.0.0.1:{free_port()}"
            [tunnels.misconfigured]
            host = "127.0.0.1:{free_port()}"
            ciphers = "rot13"
            """
        with (
            # A tunnel that had to be aborted would exceed the deadline of the test.
            supervisor_process(config(tmp_path, text), sock, 10 * DEADLINE) as process,
            client_of(sock) as client,
        ):
            expected = ["resolve", "key_exchange", "backoff", "blocked"]
            wait_until(
                lambda: [phase_of(tunnel) for tunnel in client.status().tunnels] == expected,
                within=DEADLINE,
                message=lambda: str(client.status()),
            )
            before = client.status().supervisor.open_files
            with socket.create_connection(("127.0.0.1", port)) as harness:
                wait_until(lambda: client.status().supervisor.open_files > before, within=DEADLINE)
                wait_for_query("server.hangs", process)

                end_with_signal(process, signal.SIGTERM)

                with pytest.raises(ConnectionResetError):
                    harness.recv(1)
    assert not sock.exists()


def test_a_listen_address_that_never_resolves_delays_the_end_only_briefly(
    tmp_path: Path, sock: Path
) -> None:
    text = f"""{HEAD}
        [tunnels.db]
        host = "127.0.0.1:{free_port()}"
        local = "bind.hangs:{free_port()}:db:5432"
        """
    with supervisor_process(config(tmp_path, text), sock) as process:
        wait_for_query("bind.hangs", process)

        end_with_signal(process, signal.SIGINT)


def test_sighup_reloads_the_config_file(tmp_path: Path, sock: Path) -> None:
    file = config(tmp_path)
    with supervisor_process(file, sock) as process, client_of(sock) as client:
        with client_of(sock) as follower:
            follower.follow("status")
            config(tmp_path, TUNNELS.replace("tunnels.db", "tunnels.web"))
            process.send_signal(signal.SIGHUP)
            wait_until(
                lambda: [tunnel.name for tunnel in client.status().tunnels] == ["web"],
                within=DEADLINE,
            )
        config(tmp_path, "not TOML")
        process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: "nothing was changed" in client.logs(None, 1)[0].message, within=DEADLINE
        )

        assert [tunnel.name for tunnel in client.status().tunnels] == ["web"]
        output = end_with_signal(process, signal.SIGTERM)
    assert "reloaded: db: removed; web: added" in output
