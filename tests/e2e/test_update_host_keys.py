"""UpdateHostKeys: known_hosts after a login is that which the real ssh leaves behind."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.keys import make_key, public
from tests.e2e.sandbox import USER, socks_tunnel
from tests.e2e.waiting import wait_until
from tests.ssh.progress_recorder import ProgressRecorder
from tests.ssh.server import connected
from tests.ssh.waiting import until
from tunnelkeeper.core.configuration import Host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd


@dataclass
class Case:
    """A server with several host keys, and the known_hosts of ssh and of tunnelkeeper."""

    sandbox: Sandbox
    server: Sshd
    keys: list[Path]

    @property
    def name(self) -> str:
        return f"[127.0.0.1]:{self.server.port}"

    def host(self, known_hosts: Path) -> Host:
        return Host(
            name="server",
            hostname="127.0.0.1",
            user=USER,
            ports=(self.server.port,),
            identity_files=(str(self.sandbox.key),),
            user_known_hosts=(str(known_hosts),),
            update_host_keys=True,
        )

    def with_ssh(self, text: str, *options: str) -> str:
        """Log in with ssh. Return the text of its known_hosts, without the folder's name."""
        file = self.sandbox.subdirectory("ssh") / "known_hosts"
        file.write_text(text)
        given = ["UpdateHostKeys=yes", f"UserKnownHostsFile={file}", *options]
        flags = [part for option in given for part in ("-o", option)]
        command = self.sandbox.ssh(self.server.port, "127.0.0.1", "sleep 1")
        command[3:3] = flags
        subprocess.run(command, check=True, capture_output=True)
        return file.read_text()

    async def with_tunnelkeeper(self, text: str, **changes: Any) -> tuple[str, ProgressRecorder]:
        """Log in with tunnelkeeper. Return the same, and the log."""
        file = self.sandbox.subdirectory("own") / "known_hosts"
        file.write_text(text)
        progress = ProgressRecorder()
        host = replace(self.host(file), **changes)
        async with connected(host, progress):
            await until(lambda: host_key_messages(progress))
        assert (file.stat().st_mode & 0o777) == 0o644
        if file.read_text() != text:
            assert (file.parent / "known_hosts.old").read_text() == text
        return file.read_text(), progress


def host_key_messages(progress: ProgressRecorder) -> list[str]:
    words = ("learned a further", "removed a host key", "stay as they are")
    return [text for text in (*progress.infos, *progress.debugs) if any(w in text for w in words)]


@pytest.fixture
def case(sandbox: Sandbox) -> Case:
    folder = sandbox.directory
    keys = [make_key(folder / f"host_{kind}", kind) for kind in ("ed25519", "ecdsa", "rsa")]
    server = sandbox.sshd(known=False, HostKey=[str(key) for key in keys])  # type: ignore[arg-type]
    return Case(sandbox, server, keys)


async def test_keys_are_learned_and_removed_as_by_ssh(case: Case) -> None:
    other = public(make_key(case.sandbox.directory / "retired"))
    known, name = public(case.keys[0]), case.name
    texts = {
        "learn": f"# a comment\n\nelsewhere {other}\n{name} {known}\nnot a line",
        "remove": f"{name} {known} a comment\n{name} {other}\n",
        "wildcard": f"{name},*.example.com {known}\n",
        "three names": f"{name},a,b {known}\n",
        "two names": f"{name},b {known}\n",
        "a key for another name": f"{name} {known}\nelsewhere {public(case.keys[1])}\n",
        "an old key for another name": f"{name} {known}\n{name} {other}\nelsewhere {other}\n",
        "an authority": f"{name} {known}\n@cert-authority {name} {other}\n",
    }
    results = {}
    for what, text in texts.items():
        own, progress = await case.with_tunnelkeeper(text)
        results[what] = host_key_messages(progress)
        assert own == case.with_ssh(text), (what, results[what])
    assert len(results["learn"]) == 2
    assert len(results["remove"]) == 3
    for what in ("wildcard", "three names", "an authority"):
        assert "stay as they are" in results[what][0]


async def test_a_rotated_key_is_replaced_without_a_gap(case: Case) -> None:
    """The server shows old and new keys for a while, then the new one alone."""
    text = f"{case.name} {public(case.keys[0])}\n"
    learned, _ = await case.with_tunnelkeeper(text)
    case.server.kill()
    case.server.options["HostKey"] = str(case.keys[1])
    case.server.start()

    rotated, _ = await case.with_tunnelkeeper(learned)

    assert rotated == f"{case.name} {public(case.keys[1])}\n" == case.with_ssh(learned)


async def test_names_are_hashed_if_known_hosts_is_hashed(case: Case) -> None:
    own, _ = await case.with_tunnelkeeper(
        f"{case.name} {public(case.keys[0])}\n", hash_known_hosts=True
    )
    lines = own.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("|1|") for line in lines[1:])


async def test_keys_are_not_learned_where_ssh_would_not(case: Case) -> None:
    text = f"{case.name} {public(case.keys[0])}\n"
    system = case.sandbox.directory / "system"
    system.write_text(text)
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "not the user's": ("", {"system_known_hosts": (str(system),)}),
        "by a line of its name": (f"127.0.0.1 {public(case.keys[0])}\n", {}),
        "update_host_keys is ask, and no person is present": (text, {"update_host_keys": "ask"}),
    }
    for words, (known, changes) in cases.items():
        own, progress = await case.with_tunnelkeeper(known, **changes)
        assert own == known
        assert words in host_key_messages(progress)[0]


def test_a_tunnel_learns_keys_as_ssh_config_says(case: Case) -> None:
    sandbox = case.sandbox
    sandbox.add_known_host(case.name, public(case.keys[0]))
    before = sandbox.known_hosts.read_text()
    program = sandbox.program(socks_tunnel("t", case.server.port, "update_host_keys = true"))
    program.up()
    program.wait_until_up("t")
    wait_until(lambda: sandbox.known_hosts.read_text() != before, message="nothing was learned")
    assert sandbox.known_hosts.read_text().count(case.name) == 3
    wait_until(lambda: "learned a further host key" in program.log())
