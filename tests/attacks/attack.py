"""The type of an attack that the figures report runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.attacks.victim import Victim


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack on the relay.

    Attributes:
        name: A few words for the table, such as "MSG_IGNORE flood before login".
        run: Attacks the victim, and returns after a bounded time, about five seconds. The victim
            may end its connections at any time; that is no error.
        settings: Keys of relay.toml for the victim.
    """

    name: str
    run: Callable[[Victim], Awaitable[None]]
    settings: Mapping[str, Any] = field(default_factory=dict)
