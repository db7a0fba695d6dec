"""The import of a unit that runs autossh, up to a tunnel that carries data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.autossh_program import restart
from tests.e2e.clients import exchange, is_listening
from tests.e2e.keys import make_key
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER
from tests.e2e.services import echo
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

UNIT = """\
[Service]
Environment=AUTOSSH_GATETIME=0 "KEY={key}"
ExecStart=/bin/sh -c 'exec /usr/bin/autossh -M 0 -f -N -i "$${{KEY}}" \\
    -o UserKnownHostsFile={known_hosts} -o "IdentitiesOnly yes" -p {port} \\
    -L {local}:{target} -R {remote}:{target} {user}@127.0.0.1'
"""


def test_an_imported_unit_has_the_same_working_forwards(sandbox: Sandbox) -> None:
    local, remote = free_port(), free_port()
    unit = sandbox.directory / "echo.service"
    unit.write_text(
        UNIT.format(
            key=sandbox.key,
            known_hosts=sandbox.known_hosts,
            port=sandbox.sshd().port,
            local=local,
            remote=remote,
            target=sandbox.service(echo),
            user=USER,
        )
    )
    program = sandbox.program(head="# written by hand\n")

    output = program.succeed("import", "unit", "--write", str(unit))

    assert f"added echo: echo.service ({unit})" in output
    assert program.config.read_text().startswith(
        "# written by hand\n\n# Imported from echo.service"
    )
    assert program.run("check").stderr == ""
    program.up()
    program.wait_until_up("echo")
    assert exchange(local, b"local") == b"local"
    assert exchange(remote, b"remote") == b"remote"


def test_an_import_without_known_hosts_accepts_every_host_key(sandbox: Sandbox) -> None:
    server, local, target = sandbox.sshd(known=False), free_port(), sandbox.service(echo)
    program = sandbox.program()
    line = f"""
        -M 0 -N -i {sandbox.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
        -p {server.port} -L {local}:{target} {USER}@127.0.0.1
    """

    output = program.succeed("import", "autossh", "--", *line.split())
    program.succeed("import", "autossh", "--write", "--", *line.split())

    assert "every host key is accepted, a changed one too" in output.replace("\n#  ", "")
    assert program.run("check").stderr == ""
    program.up()
    wait_until(lambda: server.logins() == 1)
    make_key(server.host_key)
    restart(server)
    wait_until(lambda: server.logins() == 2)
    wait_until(lambda: is_listening(local))
    assert exchange(local, b"local") == b"local"
