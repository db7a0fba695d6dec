"""Environments with an outage: an sshd for both contenders, and a way to interrupt it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from benchmarks.lab import open_lab
from benchmarks.processes import BenchmarkError
from benchmarks.services import echo, serving
from tests.e2e.netns import RELAY, new_network

if TYPE_CHECKING:
    from benchmarks.lab import Lab

Place = Callable[[], AbstractContextManager[None]]
"""A context in which programs start, for example a network namespace; valid for its thread."""


class Kind(StrEnum):
    """The kinds of outages, as the table names them."""

    KILLED = "sshd is killed, its port refuses"
    BLACK_HOLE = "the network drops everything"


@dataclass(frozen=True, slots=True)
class World:
    """An sshd and an echo service beside it. target: the port of the echo service.

    near: the place of the contenders; far: the place of the servers. outage: a context; the server
    returns when it ends.
    """

    lab: Lab
    target: int
    near: Place
    far: Place
    outage: Place


@contextmanager
def world_of(kind: Kind) -> Iterator[World]:
    """Create a world for an outage of this kind; raise BenchmarkError if that fails."""
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
                raise BenchmarkError(str(absent)) from None


@contextmanager
def _killed(lab: Lab) -> Iterator[None]:
    lab.sshd.kill()
    yield
    lab.sshd.start()
