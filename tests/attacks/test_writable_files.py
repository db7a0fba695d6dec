"""Another user of the relay's machine who can write a file, or a folder that leads to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.relay.in_process_relay import new_key, public, serve_relay
from tests.requirements import require_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.in_process_relay import InProcessRelay

MALLORY = 65534


async def can_log_in(relay: InProcessRelay, key: asyncssh.SSHKey) -> bool:
    try:
        async with relay.client(key):
            return True
    except asyncssh.PermissionDenied:
        return False


async def test_a_key_added_to_a_writable_file_does_not_log_in(tmp_path: Path) -> None:
    async with serve_relay(tmp_path) as relay:
        assert await can_log_in(relay, relay.key)
        relay.authorized_keys.chmod(0o646)
        relay.authorize(intruder := new_key())

        assert not await can_log_in(relay, intruder)
        assert not await can_log_in(relay, relay.key)


async def test_a_file_put_in_the_place_of_another_does_not_log_in(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    async with serve_relay(folder) as relay:
        folder.chmod(0o777)
        (folder / "new").write_text(f"{public(intruder := new_key())}\n")
        (folder / "new").replace(relay.authorized_keys)

        assert not await can_log_in(relay, intruder)


@pytest.mark.parametrize("links_folder", [True, False], ids=["folder", "file"])
async def test_a_link_of_another_user_in_tmp_does_not_lead_to_keys(
    tmp_path: Path, links_folder: bool
) -> None:
    """Mallory points it to a good file while it is checked, and to another while it is read."""
    require_root()
    shared, target = tmp_path / "tmp", tmp_path / "relay"
    shared.mkdir()
    shared.chmod(0o1777)
    target.mkdir()
    link = shared / "link"
    link.symlink_to(target if links_folder else target / "authorized_keys")
    os.lchown(link, MALLORY, MALLORY)
    configured = link / "authorized_keys" if links_folder else link
    async with serve_relay(target, authorized_keys=str(configured)) as relay:
        assert not await can_log_in(relay, relay.key)

        os.lchown(link, 0, 0)
        assert await can_log_in(relay, relay.key)
