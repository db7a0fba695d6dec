"""The demo's folder: ports, keys and the files of two relays and a supervisor. It runs nothing."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tomli_w

from tunnelkeeper.demo.probe import Entry
from tunnelkeeper.relay.host_key import make_key

if TYPE_CHECKING:
    from pathlib import Path

HERE = "127.0.0.1"
CANDIDATES = (20_000, 32_000)
TRIES = 1000
NAME = "box"
"""What the machine behind NAT calls itself at the relay: a name in place of a port there."""


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of tunnel: what it shows, how to enter it, and how a person tries it."""

    tunnel: str
    kind: str
    entry: Entry
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
class Stage:
    """Everything is below `folder`, which its owner alone can enter."""

    folder: Path
    ports: Ports
    web: int

    @property
    def config(self) -> Path:
        """The supervisor's file."""
        return self.folder / "tunnels.toml"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket."""
        return self.folder / "control.sock"

    @property
    def acts(self) -> tuple[Act, ...]:
        """A tunnel of every kind, in the order they are shown."""
        p = self.ports
        page = "http://127.0.0.1"
        socks = f"curl -x socks5h://{HERE}:{p.socks} {page}:{self.web}/"
        return (
            Act("local", "local (ssh -L)", Entry(p.local), f"curl {page}:{p.local}/"),
            Act("remote", "remote (ssh -R)", Entry(p.remote), f"curl {page}:{p.remote}/"),
            Act("socks", "SOCKS (ssh -D)", Entry(p.socks, (HERE, self.web)), socks),
            Act("chain", "two hops (ssh -J)", Entry(p.chain), f"curl {page}:{p.chain}/"),
            Act("visit", "reverse, by name", Entry(p.reverse), f"curl {page}:{p.reverse}/"),
        )

    def relay_config(self, name: str) -> Path:
        """The file of one of the two relays: `relay`, or `inner` behind it."""
        return self.folder / name / "relay.toml"

    def write(self) -> None:
        """Make the keys and write every file."""
        client = make_key(self.folder / "client_key")
        hosts = ""
        for name, port in (("relay", self.ports.relay), ("inner", self.ports.inner)):
            home = self.folder / name
            home.mkdir(mode=0o700)
            public = make_key(home / "host_key")
            hosts += f"[{HERE}]:{port} {public}\n"
            (home / "authorized_keys").write_text(f"{client} demo\n", encoding="ascii")
            self._write(self.relay_config(name), self._relay(home, port))
        (self.folder / "known_hosts").write_text(hosts, encoding="ascii")
        self._write(self.config, self._tunnels())

    def _relay(self, home: Path, port: int) -> dict[str, object]:
        return {
            "listen": [f"{HERE}:{port}"],
            "host_keys": [str(home / "host_key")],
            "authorized_keys": str(home / "authorized_keys"),
            # Its own loopback is closed unless it is named.
            "permit_open": [f"{HERE}:{self.web}", f"{HERE}:{self.ports.inner}", f"{NAME}:*"],
        }

    def _tunnels(self) -> dict[str, object]:
        p, web = self.ports, f"{HERE}:{self.web}"
        return {
            "supervisor": {"ssh_config": False},
            "defaults": {
                "user": "demo",
                "identity_files": str(self.folder / "client_key"),
                "identity_agent": "none",
                "known_hosts": str(self.folder / "known_hosts"),
                "backoff": {"max": "5s"},
            },
            "hosts": {
                "relay": {"hostname": HERE, "port": p.relay},
                "inner": {"hostname": HERE, "port": p.inner, "jump": ["relay"]},
            },
            "tunnels": {
                "local": {"host": "relay", "local": [f"{HERE}:{p.local}:{web}"]},
                "remote": {"host": "relay", "remote": [f"{p.remote}:{web}"]},
                "socks": {"host": "relay", "socks": [f"{HERE}:{p.socks}"]},
                "chain": {"host": "inner", "local": [f"{HERE}:{p.chain}:{web}"]},
                "box": {"host": "relay", "remote": [f"{NAME}:80:{web}"]},
                "visit": {"host": "relay", "local": [f"{HERE}:{p.reverse}:{NAME}:80"]},
            },
        }

    def _write(self, path: Path, document: dict[str, object]) -> None:
        path.write_text(tomli_w.dumps(document), encoding="utf-8")


def free_ports() -> Ports:
    """Ports that nobody listens on; held all at once, so that none is given twice.

    They lie below the range that outgoing connections take theirs from (Linux: 32768 and up), so
    that none is gone before it is used.
    """
    with ExitStack() as held:
        return Ports(*(_free_port(held) for _ in Ports.__slots__))


def _free_port(held: ExitStack) -> int:
    for _ in range(TRIES):
        port = random.randrange(*CANDIDATES)  # noqa: S311  spread, not secrecy
        with suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = held.enter_context(socket.socket(socket.AF_INET, kind))
                one.bind((HERE, port))
            return port
    raise OSError("no free port on 127.0.0.1 was found")
