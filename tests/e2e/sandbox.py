"""The environment of one test: a directory, keys, servers and programs, closed in reverse order."""

from __future__ import annotations

import getpass
import itertools
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.e2e.dropbear import Dropbear
from tests.e2e.keys import make_key, public
from tests.e2e.ports import free_port
from tests.e2e.program import Program
from tests.e2e.services import Handler, Service
from tests.e2e.sshd import Sshd
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USER = getpass.getuser()


class Sandbox:
    """Creates keys, servers and programs; every server accepts the sandbox's key."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self._numbers = itertools.count(1)
        self.key = make_key(directory / "key")
        self.authorized_keys = directory / "authorized_keys"
        self.authorized_keys.write_text(public(self.key) + "\n")
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.touch(mode=0o600)

    def sshd(self, *, known: bool = True, **options: str) -> Sshd:
        """Start an sshd with these options of sshd_config(5). known: add its key to known_hosts."""
        server = Sshd(self.subdirectory("sshd"), self.authorized_keys, {**options})
        self._stack.callback(server.close)
        server.start()
        if known:
            self.add_known_host(f"[127.0.0.1]:{server.port}", public(server.host_key))
        return server

    def dropbear(self, *options: str) -> Dropbear:
        """Start a Dropbear with these options; add its key to known_hosts."""
        server = Dropbear(self.subdirectory("dropbear"), self.authorized_keys, *options)
        self._stack.callback(server.close)
        server.start()
        self.add_known_host(f"[127.0.0.1]:{server.port}", server.public_host_key())
        return server

    def add_known_host(self, names: str, key: str, marker: str = "") -> None:
        """Add a line to known_hosts."""
        with self.known_hosts.open("a") as file:
            file.write(f"{marker} {names} {key}\n".lstrip())

    def service(self, handler: Handler, at: Path | int | None = None) -> Service:
        """Start a service, by default on a free port."""
        service = Service(handler, at)
        self._stack.callback(service.close)
        return service

    def program(self, *tables: str, head: str | None = None) -> Program:
        """Create a program whose config file is the head and these tables; start nothing yet.

        head: the text before them. By default it sets the sandbox's key and known_hosts for every
        host, and no ssh_config.
        """
        program = Program(self.subdirectory("p"), self.config(*tables, head=head))
        self._stack.callback(program.close)
        return program

    def config(self, *tables: str, head: str | None = None) -> str:
        """Return the text of a config file from the parts that `program` takes."""
        return "".join((self.head() if head is None else head, *tables))

    def head(self, ssh_config: str = "false") -> str:
        """Return the config tables that make every host use the sandbox's key."""
        return dedent(f"""\
            [supervisor]
            ssh_config = {ssh_config}

            [defaults]
            user = "{USER}"
            identity_files = "{self.key}"
            identities_only = true
            known_hosts = "{self.known_hosts}"

            """)

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in the background that ends with the sandbox."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def add_cleanup(self, callback: Callable[[], object]) -> None:
        """Call a function when the sandbox closes, before everything created earlier is closed."""
        self._stack.callback(callback)

    def ssh(self, port: int, *arguments: str) -> list[str]:
        """Return the command line of OpenSSH's ssh for a login to a server of this sandbox."""
        options = [f"IdentityFile={self.key}", f"UserKnownHostsFile={self.known_hosts}"]
        options += ["BatchMode=yes", "IdentitiesOnly=yes", "LogLevel=ERROR"]
        flags = [part for option in options for part in ("-o", option)]
        return [require("ssh"), "-F", "none", *flags, "-p", str(port), *arguments]

    def subdirectory(self, kind: str) -> Path:
        """Create a directory of this sandbox."""
        directory = self.directory / f"{kind}{next(self._numbers)}"
        directory.mkdir()
        return directory


@contextmanager
def new_sandbox() -> Iterator[Sandbox]:
    """Create a sandbox; on exit close everything that was created in it.

    Its directory's name is short: the path of a Unix socket has less than 108 bytes (unix(7)).
    """
    directory = Path(tempfile.mkdtemp(prefix="tk"))
    try:
        with ExitStack() as stack:
            yield Sandbox(directory, stack)
    finally:
        shutil.rmtree(directory)


def host_table(name: str, port: int, *lines: str) -> str:
    """Return the [hosts] table of a server on this machine."""
    return _table(f"hosts.{name}", 'hostname = "127.0.0.1"', f"port = {port}", *lines)


def tunnel_table(name: str, host: int | str, *lines: str) -> str:
    """Return the [tunnels] table of a tunnel to a host or to a server's port on this machine."""
    address = f"127.0.0.1:{host}" if isinstance(host, int) else host
    return _table(f"tunnels.{name}", f'host = "{address}"', *lines)


def socks_tunnel(name: str, host: int | str, *lines: str) -> str:
    """Return the table of a tunnel whose only forward is a SOCKS proxy, for tests of logins."""
    return tunnel_table(name, host, f'socks = "{free_port()}"', *lines)


def _table(name: str, *lines: str) -> str:
    return "\n".join((f"[{name}]", *lines, "", ""))
