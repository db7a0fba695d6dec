"""The user that serves: root becomes it for good, after the ports are bound."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.attacks.test_core_dumps import in_child
from tests.e2e.clients import is_listening
from tests.e2e.keys import make_key, public
from tests.e2e.program import COMMAND, SOURCE
from tests.e2e.server_process import ServerProcess
from tests.requirements import require, require_root
from tunnelkeeper.relay import privileges
from tunnelkeeper.relay.privileges import Account, PrivilegeError, account_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = pwd.getpwnam("nobody")
ACCOUNT = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid, "/nonexistent", (NOBODY.pw_gid,))


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_root_has_to_name_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)

    with pytest.raises(PrivilegeError, match="the relay would serve as root"):
        account_for("")
    with pytest.raises(PrivilegeError, match="no such user: --user no-such-user"):
        account_for("no-such-user")
    assert account_for("root") is None


def test_another_user_serves_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, NOBODY.pw_uid)

    assert account_for("") is None
    assert account_for("nobody") is None
    with pytest.raises(PrivilegeError, match="only root can become another user"):
        account_for("root")


def test_the_user_must_be_able_to_read_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    require_root()
    monkeypatch.setattr(os, "access", lambda *_args, **_options: False)

    with pytest.raises(PrivilegeError, match="nobody cannot read the program"):
        account_for("nobody")


def test_the_environment_is_that_of_the_user() -> None:
    env = {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0", "LANG": "C"}
    privileges.set_environment(ACCOUNT, env)

    assert env == {"HOME": "/nonexistent", "USER": "nobody", "LOGNAME": "nobody", "LANG": "C"}


def test_root_can_act_as_the_user_for_a_while() -> None:
    require_root()

    def act() -> None:
        before = os.getgroups()
        with privileges.acting_as(ACCOUNT):
            assert (os.geteuid(), os.getegid()) == (NOBODY.pw_uid, NOBODY.pw_gid)
            assert os.getgroups() == [NOBODY.pw_gid]
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, before)

    assert in_child(act) == 0


def test_a_process_that_became_the_user_cannot_become_root_again() -> None:
    require_root()

    def act() -> None:
        privileges.become(ACCOUNT)
        for change in (os.setuid, os.seteuid, os.setgid, os.setegid):
            with pytest.raises(PermissionError):
                change(0)
        with pytest.raises(PermissionError):
            os.setgroups([0])

    assert in_child(act) == 0


def test_a_change_that_leaves_rights_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda _id: None)

    with pytest.raises(PrivilegeError, match="could not give up all rights of root"):
        privileges.become(ACCOUNT)


# -- the whole relay -------------------------------------------------------------------------------

# The interpreter may be in a home that others cannot enter: mount it again at the same place.
OPEN_PATHS = """
set -eu
number=0
for path in "$@"; do
  number=$((number + 1)); mkdir -p "$STAGE/$number"; mount --bind "$path" "$STAGE/$number"
done
number=0
for path in "$@"; do
  number=$((number + 1)); above=$path; closed=
  while [ "$above" != / ]; do
    above=$(dirname "$above")
    case $(stat -c %A "$above") in *x | *t) ;; *) closed=$above ;; esac
  done
  [ -z "$closed" ] || mount -t tmpfs -o mode=755 none "$closed"
  [ -e "$path" ] || { mkdir -p "$path"; mount --bind "$STAGE/$number" "$path"; }
done
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that the user can enter, unlike tmp_path, with the files of a relay."""
    require_root()
    path = Path(tempfile.mkdtemp(prefix="relay-", dir="/tmp"))
    path.chmod(0o755)
    try:
        (path / "keys").mkdir()
        (path / "stage").mkdir()
        yield path
    finally:
        shutil.rmtree(path)


def test_a_relay_of_root_binds_a_low_port_and_serves_as_the_user(folder: Path) -> None:
    port = next(port for port in range(1023, 900, -1) if not is_listening(port))
    key = make_key(folder / "key")
    (folder / "keys" / "box").write_text(f"{public(key)}\n")
    config = folder / "relay.toml"
    config.write_text(f'listen = "127.0.0.1:{port}"\nauthorized_keys = "keys/%u"\n')
    run = folder / "run"
    run.mkdir()
    os.chown(run, NOBODY.pw_uid, NOBODY.pw_gid)
    socket = run / "relay.sock"
    program = [*COMMAND, "--socket", str(socket), "relay"]
    serve = [*program, "serve", "--config", str(config), "--user", "nobody"]
    # Sorted: a folder comes before what is in it, and is mounted with it.
    paths = sorted(set(map(str, (sys.base_prefix, sys.prefix, SOURCE))))
    script = f"{OPEN_PATHS}\nexec {shlex.join(serve)}"
    command = [
        require("unshare"),
        "-m",
        "env",
        f"STAGE={folder / 'stage'}",
        "PYTHONPATH=" + str(SOURCE),
    ]
    command += ["sh", "-c", script, "sh", *paths]
    relay = ServerProcess("relay as nobody", command, folder / "relay.log", ready="host key SHA256")
    try:
        relay.start()
        process = psutil.Process(relay.pid)
        assert set(process.uids()) == {NOBODY.pw_uid}
        assert set(process.gids()) == {NOBODY.pw_gid}
        assert socket.stat().st_uid == NOBODY.pw_uid
        assert (folder / "relay_host_key").stat().st_uid == 0
        assert "serves as user nobody" in relay.log()
        assert is_listening(port)
        assert "Permission denied" not in relay.log()

        def relay_command(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*program, *arguments], capture_output=True, text=True, timeout=30, check=False
            )

        assert f"listening on 127.0.0.1:{port}" in relay_command("status").stdout
        assert "authorized keys are read again" in relay_command("reload").stdout

        (folder / "keys" / "box").chmod(0o600)  # of root
        login = subprocess.run(
            [
                *(require("ssh"), "-F", "none", "-i", str(key), "-p", str(port), "-N"),
                *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
                *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "box@127.0.0.1"),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Permission denied" in login.stderr
        assert "permission denied for nobody (uid 65534)" in relay.log()
        assert "hint: the relay runs as this user, which has to read" in relay.log()
    finally:
        relay.close()


def test_a_relay_of_root_without_a_user_does_not_start(tmp_path: Path) -> None:
    require_root()
    environment = {k: v for k, v in os.environ.items() if k != "TUNNELKEEPER_RELAY_USER"}
    done = subprocess.run(
        [*COMMAND, "relay", "serve", "--config", str(tmp_path / "relay.toml")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert "the relay would serve as root\n  hint: name a user with --user" in done.stderr
