import pytest

from tunnelkeeper.sshconfig import Facts

HOMES = {"ann": "/home/ann", "root": "/root"}


@pytest.fixture
def facts() -> Facts:
    """Return facts about an invented machine and user."""
    return Facts(
        user="ann",
        uid=1000,
        home="/home/ann",
        hostname="desk.example.org",
        cwd="/srv/here",
        environment={"SSH_AUTH_SOCK": "/run/agent", "KEYS": "/keys"},
        home_of=HOMES.get,
    )
