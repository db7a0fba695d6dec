"""The forwarder on Go's x/crypto/ssh: built from peers/forwarder.go, if Go is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import BenchmarkError, run

if TYPE_CHECKING:
    from benchmarks.tunnels import Login, Tunnel

SOURCE = Path(__file__).resolve().parent / "peers" / "forwarder.go"
NAME = "forwarder"
PACKAGES = "golang-go golang-golang-x-crypto-dev"
LIBRARIES = "/usr/share/gocode"
"""Where Debian installs the sources of Go's libraries."""


def build(directory: Path) -> Path:
    """Build the forwarder in a directory and return its path.

    Raises BenchmarkError if Go or its SSH library is missing.
    """
    go = shutil.which("go")
    if go is None:
        raise BenchmarkError(f"go is not installed (Debian: apt-get install {PACKAGES})")
    settings = {"GO111MODULE": "off", "GOPATH": LIBRARIES, "GOCACHE": str(directory / "go-cache")}
    forwarder = directory / NAME
    try:
        run(go, "build", "-o", str(forwarder), str(SOURCE), environment={**os.environ, **settings})
    except BenchmarkError as error:
        raise BenchmarkError(f"{error} (Debian: apt-get install {PACKAGES})") from None
    return forwarder


def version() -> str:
    """Return the version of Go and of Debian's package with the SSH library."""
    toolchain = run("go", "env", "GOVERSION").strip().removeprefix("go")
    query = shutil.which("dpkg-query")
    if query is None:
        return toolchain
    library = run(query, "-W", "-f", "${Version}", PACKAGES.split()[1], codes=(0, 1))
    return f"{toolchain} with x/crypto {library.removeprefix('1:')}" if library else toolchain


def arguments(login: Login, tunnel: Tunnel) -> list[str]:
    """Return the forwarder's arguments for a tunnel with local forwards."""
    ends = [f"127.0.0.1:{port}" for each in tunnel.forwards for port in (each.listen, each.connect)]
    server = f"{login.address}:{tunnel.port}"
    return [login.user, str(login.key), str(login.known_hosts), server, *ends]
