#!/usr/bin/env python3
"""The screenshot of the dashboard in README, taken from a real run in tmux.

    python docs/screenshots.py            needs Linux, root, tmux and OpenSSH; takes about a minute

Real tunnels go to real servers of OpenSSH, one on each address of 127.0.0.0/8 that has a name.
Everything runs in namespaces of its own, as docs/recording.py does: the names, the ports and the
user exist there only. It writes docs/dashboard.svg.
"""

from __future__ import annotations

import os
import random
import shlex
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import create_connection
from typing import TYPE_CHECKING

from docs.namespaces import run_inside
from docs.recording import run
from docs.terminal_svg import parse, svg

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS, ROWS = 120, 35
TARGET = Path(__file__).parent / "dashboard.svg"
HISTORY = 50.0
"""Seconds of traffic in the screenshot."""

REDRAW_TIME = 3.0
"""Seconds to wait after a key, longer than any redraw."""

CONFIG_HOME = Path("/usr/local/etc")
"""A folder that exists everywhere, and that no checkout is in. It is replaced in the namespace."""

SERVERS = {
    "127.0.0.2": "db.example.com",
    "127.0.0.3": "web.example.com",
    "127.0.0.4": "gate.example.org",
    "127.0.0.5": "mon.example.com",
    "127.0.0.6": "nas.example.com",
}
"""Each has a server. box-17 has none, so that connections to it are refused."""

HOSTS = {
    "127.0.0.1": "localhost",
    "127.0.0.17": "box-17.example.org",
    "127.0.0.20": "db.internal",
    "127.0.0.21": "grafana.internal",
}
USER = "me"
TUNNELS = """
[supervisor]
ssh_config = false

[defaults]
user = "{user}"
identity_files = "{home}/key"
identity_agent = "none"
known_hosts = "{home}/known_hosts"
backoff = {{ initial = 20, max = 20, jitter = 0 }}

[tunnels.db]
host = "db.example.com"
local = ["5432:db.internal:5432"]
groups = ["work"]

[tunnels.web]
host = "web.example.com"
local = ["8443:127.0.0.1:443"]
groups = ["work"]

[tunnels.office]
host = "gate.example.org"
socks = "1080"

[tunnels.box-17]
host = "box-17.example.org"
jump = ["gate.example.org"]
remote = ["2217:127.0.0.1:22"]
groups = ["field"]

[tunnels.grafana]
host = "mon.example.com"
local = ["3000:grafana.internal:3000", "9090:127.0.0.1:9091"]

[tunnels.backup]
host = "nas.example.com"
remote = ["8873:127.0.0.1:873"]
autostart = false
"""
SSHD = """
{listen}
HostKey {home}/host_key
AuthorizedKeysFile {home}/key.pub
PidFile none
StrictModes no
PermitRootLogin yes
"""
SERVICES = (("127.0.0.20", 5432), ("127.0.0.1", 443), ("127.0.0.21", 3000))
"""What the forwards that carry data lead to."""

LOADS = {5432: 300_000, 8443: 40_000, 3000: 9_000}
"""The forwarded ports that clients use, and the most bytes of a transfer."""


def main() -> None:
    """Do it in namespaces of its own."""
    run_inside("docs.screenshots", take)


def take() -> None:
    """Prepare this machine, use the tunnels for a while, and write the screenshot."""
    with ExitStack() as stack:
        # Its path is on the picture, in the text of a failure.
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(CONFIG_HOME))
        home = CONFIG_HOME / "tunnelkeeper"
        home.mkdir(mode=0o700)
        environment = prepare(home)
        for address in SERVICES:
            stack.enter_context(service(address))
        up = [sys.executable, "-m", "tunnelkeeper", "up", "--detach"]
        subprocess.run(up, check=False, capture_output=True, env=environment)  # box-17 fails
        stack.callback(run, "tunnelkeeper", "down", env=environment)
        tmux = stack.enter_context(terminal(home, environment))
        with loads():
            time.sleep(HISTORY)
            for key in ("Down", "Down", "Down", "Enter"):
                subprocess.run([*tmux, "send-keys", key], check=True)
            time.sleep(REDRAW_TIME)
            capture = [*tmux, "capture-pane", "-N", "-e", "-p"]
            captured = subprocess.run(capture, check=True, capture_output=True, text=True).stdout
    TARGET.write_text(svg(parse(captured), COLUMNS), encoding="utf-8")


def prepare(home: Path) -> dict[str, str]:
    """Give this machine its network, names and files; return the environment of programs."""
    run("ip", "link", "set", "lo", "up")
    for name in ("key", "host_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name))
    key = (home / "host_key.pub").read_text()
    (home / "known_hosts").write_text("".join(f"{name} {key}" for name in SERVERS.values()))
    listen = "\n".join(f"ListenAddress {address}:22" for address in SERVERS)
    user = f"{USER}::0:0::/root:/bin/sh\n"
    replace("/etc/hosts", "".join(f"{a} {name}\n" for a, name in (SERVERS | HOSTS).items()), home)
    replace("/etc/ssh/sshd_config", SSHD.format(listen=listen, home=home), home)
    replace("/etc/passwd", Path("/etc/passwd").read_text() + user, home)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    run("/usr/sbin/sshd")
    config = home / "tunnels.toml"
    config.write_text(TUNNELS.format(user=USER, home=home))
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
        "LC_ALL": "C.UTF-8",
        "TUNNELKEEPER_CONFIG": str(config),
        "TUNNELKEEPER_SOCKET": str(home / "control.sock"),
        "XDG_STATE_HOME": str(home),
    }


def replace(path: str, text: str, home: Path) -> None:
    """Replace a file in the mount namespace."""
    own = home / Path(path).name
    own.write_text(text)
    run("mount", "--bind", str(own), path)


@contextmanager
def terminal(home: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """Run the dashboard in tmux; yield the start of a tmux command line for that server."""
    tmux = ["tmux", "-S", str(home / "tmux"), "-f", os.devnull]
    size = ["-x", str(COLUMNS), "-y", str(ROWS)]
    line = shlex.join([sys.executable, "-m", "tunnelkeeper", "dashboard"])
    subprocess.run([*tmux, "new-session", "-d", *size, line], check=True, env=environment)
    try:
        subprocess.run([*tmux, "set-option", "-g", "status", "off"], check=True)
        subprocess.run([*tmux, "resize-window", *size], check=True)
        yield tmux
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


class Sender(socketserver.StreamRequestHandler):
    """Sends as many bytes as the client asks for, again and again."""

    def handle(self) -> None:
        """Answer each line, which is a number."""
        with suppress(OSError):
            for line in self.rfile:
                self.wfile.write(bytes(int(line)))


@contextmanager
def service(address: tuple[str, int]) -> Iterator[None]:
    """Run a Sender on an address."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(address, Sender) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def loads() -> Iterator[None]:
    """Transfer data through some of the tunnels."""
    ended = threading.Event()
    threads = [threading.Thread(target=load, args=(port, ended)) for port in LOADS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def load(port: int, ended: threading.Event) -> None:
    """Transfer data in bursts through a forwarded port until the event is set."""
    rng = random.Random(port)  # noqa: S311  not for cryptography
    while not ended.is_set():
        with suppress(OSError), create_connection(("127.0.0.1", port), timeout=10) as client:
            while not ended.is_set():
                count = int(LOADS[port] * rng.random() ** 2) + 1
                client.sendall(f"{count}\n".encode())
                while count > 0:
                    count -= len(client.recv(65536)) or count
                ended.wait(rng.uniform(0.2, 2.0))
        ended.wait(0.5)


if __name__ == "__main__":
    main()
