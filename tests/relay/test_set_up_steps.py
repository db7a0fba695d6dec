"""The steps of docs/relay.md, with the real ssh: two boxes and a person, and one box removed."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from tests.e2e.clients import exchange, is_listening
from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.program import COMMAND, SOURCE
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until
from tests.relay.relay_process import RelayProcess
from tests.requirements import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox

DEADLINE = 60.0
"""Seconds for a program to start, log in and listen, on a machine that is busy with other tests."""


def run_json(relay: RelayProcess, *arguments: str) -> Any:
    done = relay.run(*arguments, "--json", "--config", str(relay.config))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def paste(home: Path, added: dict[str, Any]) -> None:
    """Put the texts into the files of a machine, and a generated key to its place."""
    folder = home / ".ssh"
    folder.mkdir(parents=True)
    (folder / "known_hosts").write_text("".join(f"{line}\n" for line in added["known_hosts"]))
    config = added["ssh_config"].replace("~", str(home))
    (folder / "config").write_text(f"UserKnownHostsFile {folder}/known_hosts\n{config}")
    (folder / "config").chmod(0o600)
    if added["private_key_file"]:
        name = added["private_key_file"].rpartition("/")[2]
        os.rename(added["private_key_file"], folder / name)  # noqa: PTH104


def on(home: Path, command: str) -> list[str]:
    """Return a command of the texts, for a machine: ssh takes ~ from the user database."""
    program, *arguments = command.replace("~", str(home)).split()
    options = ["-F", str(home / ".ssh/config"), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    return [require(program), *options, *arguments]


def test_two_boxes_and_a_person_are_set_up_as_documented(sandbox: Sandbox) -> None:
    service, home = sandbox.service(echo), sandbox.directory
    relay = RelayProcess(sandbox.subdirectory("r"), sandbox.authorized_keys)
    sandbox._stack.callback(relay.close)
    relay.config.unlink()
    address = f"127.0.0.1:{relay.port}"

    made = run_json(relay, "init", "--listen", address, "--address", "127.0.0.1")
    assert made["next"].startswith("tunnelkeeper relay serve")
    relay.start()

    box17 = run_json(relay, "add", "box17", "--save", str(home / "id_box17"))
    paste(home / "box17", box17)
    key = make_key(home / "own")
    box18 = run_json(relay, "add", "box18", "--listen", "80", "--key", f"{key}.pub")
    paste(home / "box18", box18)
    opened = ("--open", "box17:22", "--open", "box18:80")
    ann = run_json(relay, "add", "ann", *opened, "--save", str(home / "id_ann"))
    paste(home / "ann", ann)

    # box17 with ssh, box18 with tunnelkeeper; their services are elsewhere than on port 22 and 80.
    command = box17["ssh"][0].replace("localhost:22", str(service))
    with (
        subprocess.Popen(on(home / "box17", command), stdin=subprocess.DEVNULL) as box17_ssh,
        subprocess.Popen(
            supervisor(home / "box18", box18["tunnels_toml"], key, str(service)),
            env={"HOME": str(home / "box18"), "PYTHONPATH": str(SOURCE), "PATH": os.defpath},
        ) as box18_supervisor,
    ):
        try:
            wait_until(
                lambda: sorted(relay.bound_targets()) == ["box17:22", "box18:80"],
                DEADLINE,
                relay.log,
            )
            assert ann["ssh"][0] == "ssh box17"
            jump = on(home / "ann", "ssh -W box17:22 127.0.0.1")
            echoed = subprocess.run(
                jump, input=b"hello", capture_output=True, timeout=DEADLINE, check=True
            )
            assert echoed.stdout == b"hello"
            port = free_port()
            forward = ann["ssh"][1].replace("8080:", f"{port}:")
            with subprocess.Popen(on(home / "ann", forward), stdin=subprocess.DEVNULL) as person:
                wait_until(lambda: is_listening(port), DEADLINE, relay.log)
                assert exchange(port, b"to box18") == b"to box18"
                person.terminate()

            removed = run_json(relay, "remove", "box17")
            assert removed["removed"] == [box17["key"]]
            assert any("disconnect" in change for change in removed["reloaded"])
            assert box17_ssh.wait(DEADLINE) != 0
        finally:
            for process in (box17_ssh, box18_supervisor):
                process.terminate()
    assert "Traceback" not in relay.log()


def supervisor(home: Path, text: str, key: Path, target: str) -> list[str]:
    """Write tunnels.toml, and return the command that brings its tunnel up."""
    text = text.replace("localhost:80", target)
    text = text.replace("user =", f'identity_files = "{key}"\nuser =')
    path = home / "tunnels.toml"
    known_hosts = f'known_hosts = "{home}/.ssh/known_hosts"\nidentity_agent = "none"'
    path.write_text(f"[supervisor]\nssh_config = false\n[defaults]\n{known_hosts}\n{text}")
    return [*COMMAND, "--config", str(path), "--socket", str(home / "control"), "up"]
