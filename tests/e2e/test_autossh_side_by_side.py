"""The same command lines through Debian's autossh and through ours with --strict."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.autossh_program import Autossh, debian_autossh, launch, own_autossh, ssh_config
from tests.e2e.ports import free_port
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox
    from tests.e2e.sshd import Sshd

LOG_LINES = (
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
    "signalled to exit",
    "starting ssh (count 1)",
    "starting ssh (count 1 of 3)",
    "short poll time: adjusting net timeouts to 5000",
)
"""Log lines of autossh that show its decisions."""

LOGIN_TIMEOUT = 30.0
"""Seconds for a connection to come up on a machine that is busy."""


@dataclass(frozen=True)
class Outcome:
    """The observable result of a run."""

    exit_code: int
    starts: int
    waits: tuple[int, ...]
    log_lines: tuple[str, ...]
    pid_file_is_gone: bool


@dataclass
class ProgramUnderTest:
    """One of the two programs, and its server."""

    sandbox: Sandbox
    server: Sshd
    program: Path
    strict: tuple[str, ...]

    @property
    def config(self) -> str:
        return str(ssh_config(self.sandbox, self.server))

    def run(self, *line: str, **variables: str) -> Autossh:
        return self.run_without_m("-M", "0", *line, **variables)

    def run_without_m(self, *line: str, **variables: str) -> Autossh:
        arguments = (*self.strict, "-F", self.config, *line)
        return launch(self.sandbox, self.program, *arguments, variables=variables)

    def wait_for_login(self, before: int) -> None:
        wait_until(lambda: self.server.logins() > before, within=LOGIN_TIMEOUT, message="no login")


Scenario = Callable[[ProgramUnderTest], Autossh]
"""Starts a command line, acts on it, and lets it end."""


def command(*line: str, **variables: str) -> Scenario:
    return lambda program: program.run(*line, **variables)


def without_m(*line: str, **variables: str) -> Scenario:
    return lambda program: program.run_without_m(*line, **variables)


def to_closed_port(*line: str, **variables: str) -> Scenario:
    """Run a command line against a port where nothing listens."""
    return lambda program: program.run("-p", str(free_port()), *line, "box", "true", **variables)


def after_signals(number: int, *more: int, **variables: str) -> Scenario:
    def scenario(program: ProgramUnderTest) -> Autossh:
        before = program.server.logins()
        run = program.run("-N", "box", **variables)
        for signal_number in (number, *more):
            program.wait_for_login(before)
            before = program.server.logins()
            run.signal(signal_number)
        return run

    return scenario


def during_a_delay(number: int) -> Scenario:
    """Send a signal while the program waits before a start."""

    def scenario(program: ProgramUnderTest) -> Autossh:
        run = to_closed_port(GATETIME="0", POLL="100000")(program)
        wait_until(run.delays, within=LOGIN_TIMEOUT, message=run.log)
        run.signal(number)
        return run

    return scenario


def after_ignored_signal(number: int) -> Scenario:
    """Send a signal that changes nothing, then stop the run."""

    def scenario(program: ProgramUnderTest) -> Autossh:
        before = program.server.logins()
        run = program.run("-N", "box")
        program.wait_for_login(before)
        log = run.log()
        run.signal(number)
        wait_until(
            lambda: run.log() != log,
            within=LOGIN_TIMEOUT,
            message="the signal has no effect in the log",
        )
        run.signal(signal.SIGTERM)
        return run

    return scenario


SCENARIOS: dict[str, Scenario] = {
    "a command that succeeds within the gate": command("box", "exit 0"),
    "a command that fails within the gate": command("box", "exit 3"),
    "a command that succeeds without a gate": command("box", "exit 0", GATETIME="0"),
    "a command that fails without a gate": command("box", "exit 3", GATETIME="0"),
    "status 1 without a gate": command("box", "exit 1", GATETIME="0", MAXSTART="3"),
    "status 255 of a command": command("box", "exit 255", GATETIME="0", MAXSTART="2"),
    "a refused connection within the gate": to_closed_port(),
    "refused connections without a gate": to_closed_port(GATETIME="0", MAXSTART="4"),
    "growing delays": to_closed_port(GATETIME="0", MAXSTART="9", POLL="100"),
    "a key that is refused": command("-l", "nosuchuser", "-N", "box"),
    "no start allowed": command("-N", "box", MAXSTART="0"),
    "a lifetime of two seconds": command("-N", "box", MAXLIFETIME="2"),
    "TERM": after_signals(signal.SIGTERM),
    "INT": after_signals(signal.SIGINT),
    "USR1 restarts ssh": after_signals(signal.SIGUSR1, signal.SIGTERM),
    "HUP changes nothing": after_ignored_signal(signal.SIGHUP),
    "USR2 changes nothing": after_ignored_signal(signal.SIGUSR2),
    "TERM during a delay": during_a_delay(signal.SIGTERM),
    "TERM at log level 3": after_signals(signal.SIGTERM, LOGLEVEL="3"),
    "a failed command at log level 3": command("box", "exit 3", GATETIME="0", LOGLEVEL="3"),
    "a gated failure at log level 3": command("box", "exit 3", LOGLEVEL="3"),
    "a gated failure at log level 2": command("box", "exit 3", LOGLEVEL="2"),
    "the last start at log level 5": to_closed_port(GATETIME="0", MAXSTART="1", LOGLEVEL="5"),
    "a level in hexadecimal": command("box", "exit 0", GATETIME="0", LOGLEVEL="0x6"),
    "a poll time of ten seconds": command("box", "exit 0", GATETIME="0", POLL="0xa"),
    "a negative poll time": command("box", "exit 0", GATETIME="0", POLL="-5"),
    "a lifetime below the poll time": command("box", "exit 0", GATETIME="0", MAXLIFETIME="0x20"),
    "a negative lifetime": command("box", "exit 0", GATETIME="0", MAXLIFETIME="-1"),
    "a gate time that is too large": command("box", "exit 3", GATETIME="9" * 30),
    "a limit of three starts": to_closed_port(MAXSTART="03"),
    "a hexadecimal number without digits": command("box", "exit 0", GATETIME="0x"),
    "an octal number with a 9": command("box", "exit 0", POLL="09"),
    "an invalid echo port": without_m("-M", "0x10:x", "-N", "box"),
    "a negative port": without_m("-M", "-1", "-N", "box"),
    "port 0 in hexadecimal": without_m("-M", "0x0", "box", "exit 0", GATETIME="0"),
    "an empty log level": command("box", "exit 0", LOGLEVEL=""),
    "a log level that is not read": command("box", "exit 0", LOGLEVEL="x", DEBUG=""),
    "no host": command(),
    "no -M option": without_m("-N", "box"),
    "an invalid port": without_m("-M", "65535", "-N", "box"),
    "an invalid gate time": command("-N", "box", GATETIME="soon"),
    "a poll time of zero": command("-N", "box", POLL="0"),
    "an invalid log level": command("-N", "box", LOGLEVEL="8"),
    "a message that is too long": command("-N", "box", MESSAGE=65 * "x"),
    "a forward that fails": command("-N", "-o", "ExitOnForwardFailure=yes", "-R", "1:a:1", "box"),
}


def outcome(run: Autossh) -> Outcome:
    code = run.exit_code()
    log = run.log()
    return Outcome(
        code,
        run.start_count(),
        tuple(run.delays()),
        tuple(line for line in LOG_LINES if line in log),
        not run.pid_file.exists(),
    )


def outcomes(scenario: Scenario, sandbox: Sandbox, server: Sshd) -> tuple[Outcome, Outcome]:
    """Return the outcomes of the real autossh and of ours."""
    programs = ((debian_autossh(), ()), (own_autossh(sandbox.directory), ("--strict",)))
    first, second = (
        outcome(scenario(ProgramUnderTest(sandbox, server, *program))) for program in programs
    )
    return first, second


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_command_line_has_the_same_outcome(name: str, sandbox: Sandbox) -> None:
    expected, actual = outcomes(SCENARIOS[name], sandbox, sandbox.sshd(PermitListen="none"))

    assert actual == expected


@pytest.fixture(params=["real", "ours"])
def program(request: pytest.FixtureRequest, sandbox: Sandbox) -> ProgramUnderTest:
    if request.param == "ours":
        return ProgramUnderTest(
            sandbox, sandbox.sshd(), own_autossh(sandbox.directory), ("--strict",)
        )
    return ProgramUnderTest(sandbox, sandbox.sshd(), debian_autossh(), ())


def test_option_f_runs_in_the_background(program: ProgramUnderTest) -> None:
    run = program.run("-f", "-N", "box")

    assert run.exit_code() == 0
    program.wait_for_login(0)
    assert run.pid() not in {0, run.process.pid}
    run.signal(signal.SIGTERM)
    wait_until(lambda: not run.pid_file.exists(), within=20, message="the pid file still exists")
    assert "received signal to exit (15)" in run.log()


def test_option_f_disables_the_gate_time(program: ProgramUnderTest) -> None:
    run = program.run("-f", "-p", str(free_port()), "-N", "box", MAXSTART="3")

    run.wait_for_log("max start count reached; exiting")
    assert run.start_count() == 3


def test_it_reconnects_to_a_restarted_server(program: ProgramUnderTest) -> None:
    run = program.run("-N", "box", GATETIME="0")
    program.wait_for_login(0)
    program.server.kill()
    run.wait_for_starts(2)
    program.server.start()

    program.wait_for_login(1)
    run.signal(signal.SIGTERM)
    assert run.exit_code() == 1
