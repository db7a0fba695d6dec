"""Where an outage happens: an sshd that both contenders use, and what takes it away and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from benchmarks.lab import open_lab
from benchmarks.processes import Unable
from benchmarks.services import echo, serving
from tests.e2e.netns import RELAY, new_network

if TYPE_CHECKING:
    from benchmarks.lab import Lab

Place = Callable[[], AbstractContextManager[None]]
"""Where something is started: within such a context; it holds for the thread that enters it."""


class Kind(StrEnum):
    """What is wrong, in the words of the table."""

    KILLED = "sshd is killed, its port refuses"
    BLACK_HOLE = "the network drops everything"


@dataclass(frozen=True, slots=True)
class World:
    """target: the port of an echo service beside the sshd.

    near: where the contenders are; far: where the servers are. outage: a context; the server is
    back when it is left.
    """

    lab: Lab
    target: int
    near: Place
    far: Place
    outage: Place


@contextmanager
def world_of(kind: Kind) -> Iterator[World]:
    """A world with an outage of this kind, and the end of it. Raises Unable."""
    match kind:
        case Kind.KILLED:
            with open_lab() as lab, serving(echo) as target:
                yield World(lab, target, nullcontext, nullcontext, lambda: _killed(lab))
        case Kind.BLACK_HOLE:
            try:
                with new_network() as network:
                    near, far = network.client.entered, network.relay.entered
                    with ExitStack() as stack:
                        with far():
                            lab = stack.enter_context(open_lab(RELAY))
                            target = stack.enter_context(serving(echo))
                        yield World(lab, target, near, far, network.client_cut_off)
            except pytest.skip.Exception as absent:
                raise Unable(str(absent)) from None


@contextmanager
def _killed(lab: Lab) -> Iterator[None]:
    lab.sshd.kill()
    yield
    lab.sshd.start()
