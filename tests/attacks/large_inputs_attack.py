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


HOSTILE_CONFIGS = (
    ".".join(["a"] * 100_000) + " = 1",
    "x = " + "[" * 500_000,
    "x = [" + "1," * 900_000 + "]",
    "".join(f"key{number} = 1\n" for number in range(20_000)),
)


async def reload_hostile_configs(victim: Victim) -> list[str]:
    """Reload a relay.toml that takes long to parse, several times; return what reload printed."""
    config = victim.relay.config
    original = await asyncio.to_thread(config.read_text)
    printed = []
    try:
        for text in HOSTILE_CONFIGS:
            await asyncio.to_thread(config.write_text, text)
            printed.append((await asyncio.to_thread(victim.relay.run, "reload")).stderr)
    finally:
        await asyncio.to_thread(config.write_text, original)
    return printed


async def _reload(victim: Victim) -> None:
    await reload_hostile_configs(victim)


ATTACKS = [
    Attack("logins while 100,000 authorized keys change", log_in_while_a_large_file_changes),
    Attack("reloads of relay.toml files that are hard to parse", _reload),
]
