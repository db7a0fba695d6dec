"""Files of the relay that are large, and change while clients are connected."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from tests.attacks.attack import Attack
from tests.relay.authorized_keys_lines import encoded, ssh_string

if TYPE_CHECKING:
    from tests.attacks.victim import Victim

LINES = 100_000
CHANGES = 3
OPTIONS = 'restrict,port-forwarding,permitlisten="box:22",permitopen="none:1"'


def large_file_of_keys(lines: int = LINES) -> str:
    """Return lines of authorized_keys, each with a key of its own."""
    digests = (hashlib.sha256(b"%d" % number).digest() for number in range(lines))
    return "".join(
        f"{OPTIONS} ssh-ed25519 {encoded(ssh_string(b'ssh-ed25519') + ssh_string(digest))}\n"
        for digest in digests
    )


async def log_in_while_a_large_file_changes(victim: Victim) -> None:
    """Log in after each of several changes of an authorized_keys file of 100,000 lines."""
    path = victim.relay.authorized_keys
    accepted = await asyncio.to_thread(path.read_text)
    large = await asyncio.to_thread(large_file_of_keys)
    for number in range(CHANGES):
        text = f"{large}# change {number}\n{accepted}"
        await asyncio.to_thread(path.write_text, text)
        async with victim.attacker():
            pass


ATTACKS = [Attack("logins while 100,000 authorized keys change", log_in_while_a_large_file_changes)]
