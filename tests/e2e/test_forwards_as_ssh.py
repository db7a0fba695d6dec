"""The same forwards through ssh and through tunnelkeeper: what listens, and what answers."""

from __future__ import annotations

import socket
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.autossh_program import Autossh, launch, own_autossh, ssh_config
from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

HOSTS = ("127.0.0.1", "127.0.0.2", "::1")
READY_TIMEOUT = 60.0


@dataclass(frozen=True)
class SetUp:
    """Lines of ssh_config for a host, and options of its sshd.

    `{a}`, `{b}` and `{c}` are free ports, `{taken}` is one that is not, `{echo}` is a service,
    `{dir}` a folder, which has the socket `{dir}/echo` of a service and the stale socket
    `{dir}/stale`.
    """

    lines: tuple[str, ...]
    sshd: Mapping[str, str] = field(default_factory=dict)


def lines(*written: str, **sshd: str) -> SetUp:
    return SetUp(written, sshd)


SET_UPS = {
    "a local port": lines("LocalForward {a} {echo}"),
    "a local port on every address": lines("LocalForward *:{a} {echo}"),
    "a local port on an empty address": lines("LocalForward :{a} {echo}"),
    "a local port on one address": lines("LocalForward 127.0.0.2:{a} {echo}"),
    "a local port on localhost": lines("LocalForward localhost:{a} {echo}"),
    "a local port on an IPv6 address": lines("LocalForward [::1]:{a} {echo}"),
    "a local port with GatewayPorts": lines("GatewayPorts yes", "LocalForward {a} {echo}"),
    "a local port on localhost with GatewayPorts": lines(
        "GatewayPorts yes", "LocalForward localhost:{a} {echo}"
    ),
    "a local port with a family": lines("AddressFamily inet", "LocalForward localhost:{a} {echo}"),
    "several local ports": lines("LocalForward {a} {echo}", "LocalForward {b} {echo}"),
    "the same local port twice": lines("LocalForward {a} {echo}", "LocalForward {a} {dir}/echo"),
    "a local port that is taken": lines("LocalForward {taken} {echo}", "LocalForward {a} {echo}"),
    "a local port that must be free": lines(
        "ExitOnForwardFailure yes", "LocalForward {taken} {echo}", "LocalForward {a} {echo}"
    ),
    "a local port to a socket": lines("LocalForward {a} {dir}/echo"),
    "a local port to nothing": lines("LocalForward {a} 127.0.0.1:{b}"),
    "a local socket": lines("LocalForward {dir}/s {echo}"),
    "a local socket with a mask": lines("StreamLocalBindMask 0117", "LocalForward {dir}/s {echo}"),
    "a local socket in the way": lines("LocalForward {dir}/stale {echo}"),
    "a local socket that is replaced": lines(
        "StreamLocalBindUnlink yes", "LocalForward {dir}/stale {echo}"
    ),
    "tokens": lines("LocalForward {dir}/%n-%r-%% {echo}", "LocalForward {a} {dir}/ech${{TK_O}}"),
    "cleared forwards": lines("ClearAllForwardings yes", "LocalForward {a} {echo}"),
    "a SOCKS port": lines("DynamicForward {a}"),
    "a SOCKS port on every address": lines("DynamicForward *:{a}"),
    "a remote port": lines("RemoteForward {a} {echo}"),
    "a remote port on every address": lines("RemoteForward *:{a} {echo}"),
    "a remote port on every address of a permissive server": lines(
        "RemoteForward *:{a} {echo}", GatewayPorts="clientspecified"
    ),
    "a remote port on one address of a permissive server": lines(
        "RemoteForward 127.0.0.2:{a} {echo}", GatewayPorts="clientspecified"
    ),
    "a remote port of a server that opens all": lines(
        "RemoteForward {a} {echo}", GatewayPorts="yes"
    ),
    "a remote port to a socket": lines("RemoteForward {a} {dir}/echo"),
    "a remote port to nothing": lines("RemoteForward {a} 127.0.0.1:{b}"),
    "a remote socket": lines("RemoteForward {dir}/r {echo}"),
    "a remote port that is taken": lines(
        "RemoteForward {taken} {echo}", "RemoteForward {a} {echo}"
    ),
    "a remote port that must be free": lines(
        "ExitOnForwardFailure yes", "RemoteForward {taken} {echo}"
    ),
    "a remote SOCKS port": lines("RemoteForward {a}"),
    "a remote SOCKS port with one target": lines("RemoteForward {a}", "PermitRemoteOpen {echo}"),
    "a remote SOCKS port without targets": lines("RemoteForward {a}", "PermitRemoteOpen none"),
    "a server that forwards no ports": lines(
        "LocalForward {a} {echo}", "RemoteForward {b} {echo}", AllowTcpForwarding="no"
    ),
    "a server that forwards no remote ports": lines(
        "LocalForward {a} {echo}", "RemoteForward {b} {echo}", AllowTcpForwarding="local"
    ),
    "a server that forwards no sockets": lines(
        "LocalForward {a} {dir}/echo",
        "RemoteForward {dir}/r {echo}",
        AllowStreamLocalForwarding="no",
    ),
    "a server that opens one target": lines(
        "LocalForward {a} {echo}", "LocalForward {b} 127.0.0.1:{c}", PermitOpen="127.0.0.1:1"
    ),
}


DIFFERENCES = {
    # Local ports are bound before ssh_config is asked.
    "a local port with a family": {"::1 a": "echo"},
    # A stale socket is always replaced, as no process serves it.
    "a local socket in the way": {"stale": "0600 echo"},
    # The client of a SOCKS proxy learns that its target is not permitted.
    "a remote SOCKS port without targets": {
        "127.0.0.1 a": "SOCKS, code 2",
        "::1 a": "SOCKS, code 2",
    },
}
"""What differs from ssh, each documented in docs/ssh-config.md."""


@dataclass
class Ground:
    """What a set-up may name. The ports are the same for both programs, which run in turn."""

    sandbox: Sandbox
    server: Sshd
    folder: Path
    names: dict[str, str]

    def config(self, set_up: SetUp) -> Path:
        config = ssh_config(self.sandbox, self.server)
        text = "".join(f"  {line.format(**self.names)}\n" for line in set_up.lines)
        config.write_text(config.read_text() + text)
        return config

    def observe(self) -> dict[str, str]:
        """Return what listens, and what it does with a client."""
        ports = [int(self.names[name]) for name in "abc"]
        seen = {
            f"{host} {name}": _visit((host, port), self.names["echo"])
            for name, port in zip("abc", ports, strict=True)
            for host in HOSTS
        }
        for path in sorted(self.folder.iterdir()):
            if path.name not in {"echo", "ready", "log"}:
                mode = stat.S_IMODE(path.stat().st_mode)
                seen[path.name] = f"{mode:04o} {_visit(path, self.names['echo'])}"
        return {where: what for where, what in seen.items() if what != "refused"}

    def clear(self) -> None:
        """Remove what the first program left, and put the stale socket back."""
        for path in self.folder.iterdir():
            if path.name != "echo":
                path.unlink()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.folder / "stale"))


def _visit(address: tuple[str, int] | Path, target: str) -> str:
    """Return what a client meets: an echo, also through a SOCKS proxy, a closed door, or none."""
    with suppress(AssertionError, OSError):
        if exchange(address, b"hello") == b"hello":
            return "echo"
    try:
        return _visit_proxy(address, target)
    except (ConnectionRefusedError, FileNotFoundError):
        return "refused"
    except OSError:
        return "closed"


def _visit_proxy(address: tuple[str, int] | Path, target: str) -> str:
    family = socket.AF_UNIX
    if isinstance(address, tuple):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    host, port = target.rsplit(":", 1)
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(address if isinstance(address, tuple) else str(address))
        client.sendall(b"\5\1\0")
        if client.recv(2) != b"\5\0":
            return "closed"
        client.sendall(b"\5\1\0\1" + socket.inet_aton(host) + int(port).to_bytes(2, "big"))
        answer = client.recv(10)
        if not answer:
            return "SOCKS, closed"
        if answer[1]:
            return f"SOCKS, code {answer[1]}"
        client.sendall(b"hello")
        return "SOCKS, echo" if client.recv(5) == b"hello" else "SOCKS, closed"


@pytest.fixture
def ground(sandbox: Sandbox, name: str) -> Iterator[Ground]:
    folder = sandbox.subdirectory("g")
    service = sandbox.service(echo)
    sandbox.service(echo, folder / "echo")
    server = sandbox.sshd(known=True, **SET_UPS[name].sshd)
    ports = {letter: str(free_port()) for letter in "abc"}
    taken = free_port()
    with ExitStack() as stack:
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            stack.enter_context(socket.create_server((host, taken), family=family))
        names = {**ports, "echo": str(service), "dir": str(folder), "taken": str(taken)}
        yield Ground(sandbox, server, folder, names)


def _listening_ports() -> set[int]:
    connections = psutil.net_connections("tcp")
    return {
        each.laddr.port for each in connections if each.laddr and each.status == psutil.CONN_LISTEN
    }


def _outcome(ground: Ground, start: Callable[[str], Autossh]) -> dict[str, str]:
    """Start a program whose remote command reports that the forwards are done; observe; end it."""
    ground.clear()
    ready = ground.folder / "ready"
    run = start(f"touch {ready}; exec sleep 600")
    wait_until(
        lambda: ready.exists() or run.process.poll() is not None,
        READY_TIMEOUT,
        lambda: f"not ready: {run.output()} {run.log()}",
    )
    if not ready.exists():
        run.exit_code()
        return {"the connection": "ended"}
    seen = ground.observe()
    # sshd leaves a command without a terminal running when the client is gone.
    processes = [psutil.Process(pid) for pid in ground.server.sessions()]
    run.process.kill()  # ssh does not always end after SIGTERM
    run.process.wait()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until(lambda: not _listening_ports() & {int(ground.names[name]) for name in "abc"})
    return seen


@pytest.mark.parametrize("name", SET_UPS)
def test_the_same_forwards_listen_and_answer(
    ground: Ground, sandbox: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TK_O", "o")
    line = ("-F", str(ground.config(SET_UPS[name])), "box")
    ssh, own = Path(require("ssh")), own_autossh(sandbox.directory)

    expected = _outcome(ground, lambda command: launch(sandbox, ssh, *line, command))
    actual = _outcome(
        ground,
        lambda command: launch(sandbox, own, "--strict", "-M", "0", *line, command),
    )

    assert actual == {**expected, **DIFFERENCES.get(name, {})}
