"""The same lines through Debian's autossh and through ours with --strict."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import Autossh, launch, ours, real, ssh_config
from tests.e2e.ports import free_port
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.e2e.sshd import Sshd

WORDS = (
    "port set to 0, monitoring disabled",
    "ssh exited prematurely with status",
    "ssh exited with error status 255; restarting ssh",
    "ssh exited with error status 1; restarting ssh",
    "ssh exited with status 0; autossh exiting",
    "ssh exited with status 3; autossh exiting",
    "max start count reached; exiting",
    "exceeded maximum time to live, shutting down",
    "received signal to exit (15)",
    "received signal to exit (2)",
    "signalled to kill and restart ssh",
)
"""Lines of autossh's log that tell what it decided."""

UP = 30.0
"""Seconds for a connection to come up on a machine that is busy."""


@dataclass(frozen=True)
class Seen:
    """What can be seen of a run from outside."""

    exit_code: int
    starts: int
    waits: tuple[int, ...]
    words: tuple[str, ...]
    pid_file_is_gone: bool


@dataclass
class World:
    """A server, and one of the two programs."""

    site: Site
    server: Sshd
    program: Path
    strict: tuple[str, ...]

    @property
    def config(self) -> str:
        return str(ssh_config(self.site, self.server))

    def run(self, *line: str, **variables: str) -> Autossh:
        return self.run_bare("-M", "0", *line, **variables)

    def run_bare(self, *line: str, **variables: str) -> Autossh:
        arguments = (*self.strict, "-F", self.config, *line)
        return launch(self.site, self.program, *arguments, variables=variables)

    def wait_for_login(self, before: int) -> None:
        wait_until(lambda: self.server.logins() > before, within=UP, message="no login")


Story = Callable[[World], Autossh]
"""Starts a line, does something to it, and leaves it to end."""


def simply(*line: str, **variables: str) -> Story:
    return lambda world: world.run(*line, **variables)


def bare(*line: str, **variables: str) -> Story:
    return lambda world: world.run_bare(*line, **variables)


def nowhere(*line: str, **variables: str) -> Story:
    """Run the same against a port where nothing listens."""
    return lambda world: world.run("-p", str(free_port()), *line, "box", "true", **variables)


def signalled(number: int, *more: int) -> Story:
    def story(world: World) -> Autossh:
        before = world.server.logins()
        run = world.run("-N", "box")
        for each in (number, *more):
            world.wait_for_login(before)
            before = world.server.logins()
            run.signal(each)
        return run

    return story


def prodded(number: int) -> Story:
    """Send a signal that changes nothing, then end the run."""

    def story(world: World) -> Autossh:
        before = world.server.logins()
        run = world.run("-N", "box")
        world.wait_for_login(before)
        log = run.log()
        run.signal(number)
        wait_until(lambda: run.log() != log, within=UP, message="the signal does nothing")
        run.signal(signal.SIGTERM)
        return run

    return story


STORIES: dict[str, Story] = {
    "a command that succeeds within the gate": simply("box", "exit 0"),
    "a command that fails within the gate": simply("box", "exit 3"),
    "a command that succeeds without a gate": simply("box", "exit 0", GATETIME="0"),
    "a command that fails without a gate": simply("box", "exit 3", GATETIME="0"),
    "status 1 without a gate": simply("box", "exit 1", GATETIME="0", MAXSTART="3"),
    "status 255 of a command": simply("box", "exit 255", GATETIME="0", MAXSTART="2"),
    "a refused connection within the gate": nowhere(),
    "refused connections without a gate": nowhere(GATETIME="0", MAXSTART="4"),
    "the waits that grow": nowhere(GATETIME="0", MAXSTART="9", POLL="100"),
    "a key that is refused": simply("-l", "nosuchuser", "-N", "box"),
    "no start is allowed": simply("-N", "box", MAXSTART="0"),
    "a life of two seconds": simply("-N", "box", MAXLIFETIME="2"),
    "TERM": signalled(signal.SIGTERM),
    "INT": signalled(signal.SIGINT),
    "USR1 restarts ssh": signalled(signal.SIGUSR1, signal.SIGTERM),
    "HUP changes nothing": prodded(signal.SIGHUP),
    "USR2 changes nothing": prodded(signal.SIGUSR2),
    "no host": simply(),
    "no word about monitoring": bare("-N", "box"),
    "a port that is none": bare("-M", "65535", "-N", "box"),
    "a gate time that is no number": simply("-N", "box", GATETIME="soon"),
    "a poll time of nothing": simply("-N", "box", POLL="0"),
    "a log level that is none": simply("-N", "box", LOGLEVEL="8"),
    "a message that is too long": simply("-N", "box", MESSAGE=65 * "x"),
    "a forward that fails": simply("-N", "-o", "ExitOnForwardFailure=yes", "-R", "1:a:1", "box"),
}


def seen(run: Autossh) -> Seen:
    code = run.exit_code()
    log = run.log()
    return Seen(
        code,
        run.start_count(),
        tuple(run.delays()),
        tuple(words for words in WORDS if words in log),
        not run.pid_file.exists(),
    )


def both(story: Story, site: Site, server: Sshd) -> tuple[Seen, Seen]:
    """Return what is observed of the real autossh and of ours."""
    programs = ((real(), ()), (ours(site.directory), ("--strict",)))
    first, second = (seen(story(World(site, server, *program))) for program in programs)
    return first, second


@pytest.mark.parametrize("name", STORIES)
def test_the_same_line_ends_the_same_way(name: str, site: Site) -> None:
    theirs, ours_ = both(STORIES[name], site, site.sshd(PermitListen="none"))

    assert ours_ == theirs


@pytest.fixture(params=["the real one", "ours"])
def world(request: pytest.FixtureRequest, site: Site) -> World:
    if request.param == "ours":
        return World(site, site.sshd(), ours(site.directory), ("--strict",))
    return World(site, site.sshd(), real(), ())


def test_f_goes_to_the_background(world: World) -> None:
    run = world.run("-f", "-N", "box")

    assert run.exit_code() == 0
    world.wait_for_login(0)
    assert run.pid() not in {0, run.process.pid}
    run.signal(signal.SIGTERM)
    wait_until(lambda: not run.pid_file.exists(), within=20, message="the pid file stays")
    assert "received signal to exit (15)" in run.log()


def test_f_has_no_gate(world: World) -> None:
    run = world.run("-f", "-p", str(free_port()), "-N", "box", MAXSTART="3")

    run.wait_for_log("max start count reached; exiting")
    assert run.start_count() == 3


def test_a_server_that_goes_and_comes_is_connected_to_again(world: World) -> None:
    run = world.run("-N", "box", GATETIME="0")
    world.wait_for_login(0)
    world.server.kill()
    run.wait_for_starts(2)
    world.server.start()

    world.wait_for_login(1)
    run.signal(signal.SIGTERM)
    assert run.exit_code() == 1
