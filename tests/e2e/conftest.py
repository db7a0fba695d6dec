"""Fixtures of the end-to-end tests, and the servers' logs in the report of one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import log_files
from tests.e2e.agent import Agent
from tests.e2e.ports import free_port
from tests.e2e.sandbox import Sandbox, new_sandbox, tunnel_table
from tests.e2e.systemd import new_user_manager
from tests.e2e.systemd_user import SystemdUser, forward

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
DEADLINE = 180
"""Seconds for one test; the waits inside tests have shorter deadlines of their own."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with new_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def agent(sandbox: Sandbox) -> Path:
    """Run an ssh-agent with the sandbox's key; return its socket."""
    agent = Agent(sandbox.directory)
    sandbox.add_cleanup(agent.close)
    agent.start()
    agent.add(sandbox.key)
    return agent.socket


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    """Share a sandbox between all tests of a module, which must not change it."""
    with new_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["on", "off"])
def data_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Select the data path of the programs: the fast path, or asyncssh's own."""
    setting: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNNELKEEPER_FASTPATH", setting)
        yield setting


@pytest.fixture(scope="module")
def sandbox_per_data_path(data_path: str) -> Iterator[Sandbox]:
    """Share a sandbox for each data path."""
    with new_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def user(sandbox: Sandbox) -> Iterator[SystemdUser]:
    sandbox.directory.chmod(0o755)
    with new_user_manager(sandbox.subdirectory("m")) as machine:
        yield SystemdUser(sandbox, machine)
        assert "Traceback" not in machine.output(), machine.output()


@pytest.fixture
def port(sandbox: Sandbox, user: SystemdUser) -> int:
    """Configure the tunnel `db` to an echo service; return its local port."""
    port = free_port()
    user.write_config(tunnel_table("db", sandbox.sshd().port, forward(sandbox, port)))
    return port


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(log_files.sections())
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # pytest calls this hook with the items of all directories.
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(DEADLINE))
