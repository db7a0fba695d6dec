"""The import of a unit that runs autossh, up to a tunnel that carries data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.sandbox import USER
from tests.e2e.services import echo

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
