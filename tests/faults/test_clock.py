"""The clock on the wall: it is shown to people, and nothing is decided by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.waiting import wait_until
from tests.faults.proof import FREE_RETRY, MARGIN, proves
from tests.requirements import absent

if TYPE_CHECKING:
    from tests.faults.scene import Scene

LIBRARY = "libfaketimeMT.so.1"
HOUR = 3600


def faketime() -> Path:
    """Return the library that shows a program another time of day (Debian's libfaketime)."""
    places = ("lib/*/faketime", "lib*/faketime", "lib/*", "lib*")
    found = [path for place in places for path in Path("/usr").glob(f"{place}/{LIBRARY}")]
    if not found:
        absent("libfaketime is not installed")
    return found[0]


@proves(
    "the wall clock is set back by an hour, while waiting for the next try",
    says=("backoff", "refused"),
    flows=FREE_RETRY,
)
def test_a_wall_clock_set_back_lengthens_no_wait(scene: Scene) -> None:
    offset = scene.site.directory / "offset"
    offset.write_text("+0\n")
    program = scene.site.program(scene.tunnel())
    program.environment |= {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    scene.starts(program)
    scene.link.stop_listening()
    scene.link.reset()
    before = scene.says_so().at
    offset.write_text(f"-{HOUR}\n")
    wait_until(
        lambda: (failure := program.tunnel("t").failure) and failure.at < before,
        within=MARGIN,
        complaint="the supervisor did not see the clock change",
    )
    scene.link.listen()
    scene.recovers()
