"""The first task of docs/tasks.md, as a person types it, with the real program and a real sshd."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.clients import exchange
from tests.e2e.ports import free_port
from tests.e2e.services import echo
from tests.markdown import blocks_in, section
from tests.requirements import require

if TYPE_CHECKING:
    from tests.e2e.sandbox import Sandbox

TASKS = Path(__file__).parent.parent.parent / "docs/tasks.md"


def test_the_commands_of_the_first_task_reach_a_service_behind_the_server(
    sandbox: Sandbox,
) -> None:
    server, service, port = sandbox.sshd(), sandbox.service(echo), free_port()
    program = sandbox.program()
    text = section(TASKS, "Reach a database")
    added, shown = (block.splitlines() for block in blocks_in(text, "console"))
    here = {
        "tunnel@relay.example.com": f"127.0.0.1:{server.port}",
        "5432:db.internal:5432": f"{port}:127.0.0.1:{service.port}",
        "/home/me/.config/tunnelkeeper/tunnels.toml, a new file": str(program.config),
    }

    def typed(line: str) -> list[str]:
        for name, real in here.items():
            line = line.replace(name, real)
        done = subprocess.run(
            [require("bash"), "-c", line.removeprefix("$ ")],
            env={
                **program.environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.splitlines()

    assert typed(added[0])[0] == added[1].replace(*list(here.items())[-1])
    assert exchange(("127.0.0.1", port), b"hello") == b"hello"
    # The names are shorter here, so that there is space for more columns.
    for line, documented in zip(typed(shown[0]), shown[1:], strict=True):
        assert line.split()[:2] == documented.split()[:2]
