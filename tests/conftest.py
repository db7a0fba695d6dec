"""Fixtures and settings of the tests of every layer."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.leaks import LeakGuard
from tests.requirements import require
from tunnelkeeper.net import thread_executor

if TYPE_CHECKING:
    from collections.abc import Iterator

# The tests start the program some thousand times. Without its bytecode, each start compiles it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The time that an example takes depends on the machine.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "50"))
settings.register_profile("any machine", deadline=None, max_examples=EXAMPLES)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["TZ"] = "UTC"  # log lines have local times
    time.tzset()
    if os.geteuid() == 0:
        os.environ["TUNNELKEEPER_RELAY_USER"] = "root"  # root has to name the user of a relay
    os.umask(0o022)  # a config file that a group can write is refused
    _handle_ignored_signals()
    # Programs in this process would change it for all tests.
    thread_executor.SWITCH_INTERVAL = sys.getswitchinterval()
    config.pluginmanager.register(LeakGuard())


@pytest.fixture(autouse=True, scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of supervisors in this process out of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def central_europe() -> Iterator[None]:
    """Set the local time zone, an hour ahead of UTC in winter."""
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0"
    time.tzset()
    yield
    os.environ["TZ"] = "UTC"
    time.tzset()


@pytest.fixture(scope="session")
def ssh() -> str:
    """Return the path of the ssh client, as a reference or as the program under test."""
    return require("ssh")


def _handle_ignored_signals() -> None:
    """Undo what `nohup` and `&` of a script do: their children ignore SIGHUP or SIGINT.

    Children of the tests would inherit that, and no test could interrupt them. A signal with a
    handler is reset to its default by execve(2), and the tests themselves still survive a hangup.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
