"""The demo's directory: ports, keys and config files of two relays and a supervisor.

It starts no process.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tomli_w

from tunnelkeeper.demo.probe import EntryPoint
from tunnelkeeper.relay.host_key import make_key

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
PORT_RANGE = (20_000, 32_000)
MAX_PORT_ATTEMPTS = 1000
LISTEN_NAME = "box"
"""The name that the machine behind NAT registers at the relay instead of a port."""


@dataclass(frozen=True, slots=True)
class DemoTunnel:
    """One kind of tunnel, its entry point, and a command to try it."""

    name: str
    kind: str
    entry_point: EntryPoint
    command: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports on loopback."""

    relay: int
    inner: int
    local: int
    remote: int
    socks: int
    chain: int
    reverse: int


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of one demo, all in `directory`, which has mode 0700."""

    directory: Path
    ports: Ports
    web_port: int

    @property
    def config_path(self) -> Path:
        """The supervisor's config file."""
        return self.directory / "tunnels.toml"

    @property
    def socket_path(self) -> Path:
        """The supervisor's control socket."""
        return self.directory / "control.sock"

    @property
    def tunnels(self) -> tuple[DemoTunnel, ...]:
        """A tunnel of every kind, in display order."""
        ports, url = self.ports, f"http://{LOOPBACK}"
        local, remote = EntryPoint(ports.local), EntryPoint(ports.remote)
        socks = EntryPoint(ports.socks, (LOOPBACK, self.web_port))
        chain, reverse = EntryPoint(ports.chain), EntryPoint(ports.reverse)
        curl_socks = f"curl -x socks5h://{LOOPBACK}:{ports.socks} {url}:{self.web_port}/"
        return (
            DemoTunnel("local", "local (ssh -L)", local, f"curl {url}:{ports.local}/"),
            DemoTunnel("remote", "remote (ssh -R)", remote, f"curl {url}:{ports.remote}/"),
            DemoTunnel("socks", "SOCKS (ssh -D)", socks, curl_socks),
            DemoTunnel("chain", "two hops (ssh -J)", chain, f"curl {url}:{ports.chain}/"),
            DemoTunnel("visit", "reverse, by name", reverse, f"curl {url}:{ports.reverse}/"),
        )

    def relay_config_path(self, name: str) -> Path:
        """Return the config file of a relay: `relay`, or `inner` behind it."""
        return self.directory / name / "relay.toml"

    def write_all(self) -> None:
        """Create the keys and write every file."""
        client = make_key(self.directory / "client_key")
        hosts = ""
        for name, port in (("relay", self.ports.relay), ("inner", self.ports.inner)):
            home = self.directory / name
            home.mkdir(mode=0o700)
            public = make_key(home / "host_key")
            hosts += f"[{LOOPBACK}]:{port} {public}\n"
            (home / "authorized_keys").write_text(f"{client} demo\n", encoding="ascii")
            self._write_toml(self.relay_config_path(name), self._relay_settings(home, port))
        (self.directory / "known_hosts").write_text(hosts, encoding="ascii")
        self._write_toml(self.config_path, self._supervisor_settings())

    def _relay_settings(self, home: Path, port: int) -> dict[str, object]:
        return {
            "listen": [f"{LOOPBACK}:{port}"],
            "host_keys": [str(home / "host_key")],
            "authorized_keys": str(home / "authorized_keys"),
            # A relay refuses connections to its own loopback unless permit_open lists them.
            "permit_open": [
                f"{LOOPBACK}:{self.web_port}",
                f"{LOOPBACK}:{self.ports.inner}",
                "names",
            ],
            "names": [LISTEN_NAME],
        }

    def _supervisor_settings(self) -> dict[str, object]:
        ports, web = self.ports, f"{LOOPBACK}:{self.web_port}"
        return {
            "supervisor": {"ssh_config": False},
            "defaults": {
                "user": "demo",
                "identity_files": str(self.directory / "client_key"),
                "identity_agent": "none",
                "known_hosts": str(self.directory / "known_hosts"),
                "backoff": {"max": "5s"},
            },
            "hosts": {
                "relay": {"hostname": LOOPBACK, "port": ports.relay},
                "inner": {"hostname": LOOPBACK, "port": ports.inner, "jump": ["relay"]},
            },
            "tunnels": {
                "local": {"host": "relay", "local": [f"{LOOPBACK}:{ports.local}:{web}"]},
                "remote": {"host": "relay", "remote": [f"{ports.remote}:{web}"]},
                "socks": {"host": "relay", "socks": [f"{LOOPBACK}:{ports.socks}"]},
                "chain": {"host": "inner", "local": [f"{LOOPBACK}:{ports.chain}:{web}"]},
                "box": {"host": "relay", "remote": [f"{LISTEN_NAME}:80:{web}"]},
                "visit": {
                    "host": "relay",
                    "local": [f"{LOOPBACK}:{ports.reverse}:{LISTEN_NAME}:80"],
                },
            },
        }

    def _write_toml(self, path: Path, document: dict[str, object]) -> None:
        path.write_text(tomli_w.dumps(document), encoding="utf-8")


def find_free_ports() -> Ports:
    """Return unused ports. All are bound at the same time, so no port is returned twice.

    They are below the ephemeral range (32768 and up on Linux), so that no outgoing connection takes
    one before it is used.
    """
    with ExitStack() as sockets:
        return Ports(*(_find_free_port(sockets) for _ in Ports.__slots__))


def _find_free_port(sockets: ExitStack) -> int:
    for _ in range(MAX_PORT_ATTEMPTS):
        port = random.randrange(*PORT_RANGE)  # noqa: S311  not a secret
        with suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                bound = sockets.enter_context(socket.socket(socket.AF_INET, kind))
                bound.bind((LOOPBACK, port))
            return port
    raise OSError("no free port found on 127.0.0.1")
