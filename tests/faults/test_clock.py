"""The wall clock: it is shown to users, but decides no delay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.waiting import wait_until
from tests.faults.expectation import EARLY_RETRY, MARGIN, expects
from tests.requirements import absent

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario

LIBRARY = "libfaketimeMT.so.1"
HOUR = 3600


def faketime() -> Path:
    """Return the library that gives a program another wall clock time (Debian's libfaketime)."""
    directories = ("lib/*/faketime", "lib*/faketime", "lib/*", "lib*")
    libraries = [
        path for directory in directories for path in Path("/usr").glob(f"{directory}/{LIBRARY}")
    ]
    if not libraries:
        absent("libfaketime is not installed")
    return libraries[0]


@expects(
    "the wall clock is set back by an hour, during a retry delay",
    status=("backoff", "refused"),
    recovered_within=EARLY_RETRY,
)
def test_setting_the_wall_clock_back_does_not_lengthen_a_retry_delay(scenario: Scenario) -> None:
    offset = scenario.sandbox.directory / "offset"
    offset.write_text("+0\n")
    program = scenario.sandbox.program(scenario.tunnel())
    program.environment |= {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    scenario.start_program(program)
    scenario.link.stop_listening()
    scenario.link.reset()
    before = scenario.wait_for_expected_status().at
    offset.write_text(f"-{HOUR}\n")
    wait_until(
        lambda: (failure := program.tunnel("t").failure) and failure.at < before,
        within=MARGIN,
        message="the supervisor did not see the new time",
    )
    scenario.link.listen()
    scenario.check_recovery()
