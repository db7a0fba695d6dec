"""Keys that are refused or have changed: the tunnel is blocked until a restart."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.e2e.keys import make_key
from tests.faults.expectation import ON_RESTART, expects

if TYPE_CHECKING:
    from tests.faults.scenario import Scenario


@expects(
    "our key is refused, and put back", status=("blocked", "auth"), recovered_within=ON_RESTART
)
def test_a_refused_key_blocks_until_a_restart(scenario: Scenario) -> None:
    keys = scenario.sandbox.authorized_keys.read_text()
    scenario.start_tunnel()
    scenario.sandbox.authorized_keys.write_text("")
    scenario.link.reset()
    scenario.wait_for_expected_status()
    attempts = scenario.link.accepted
    scenario.sandbox.authorized_keys.write_text(keys)
    # No local file has changed, so the next retry is in five minutes or on restart.
    assert scenario.program.tunnel("t").state == "blocked"
    assert scenario.link.accepted == attempts
    scenario.program.succeed("restart", "t")
    scenario.check_recovery()


@expects(
    "the server's host key changes, and is put back",
    status=("blocked", "host_key_changed"),
    recovered_within=ON_RESTART,
)
def test_a_changed_host_key_blocks_until_a_restart(scenario: Scenario) -> None:
    saved_key = scenario.sandbox.directory / "saved_key"
    scenario.start_tunnel()
    shutil.copy(scenario.server.host_key, saved_key)
    scenario.server.kill()
    make_key(scenario.server.host_key)
    scenario.server.start()
    scenario.wait_for_expected_status()
    logins = scenario.server.logins()
    scenario.server.kill()
    shutil.copy(saved_key, scenario.server.host_key)
    scenario.server.start()
    assert scenario.program.tunnel("t").state == "blocked"
    assert logins == 1
    scenario.program.succeed("restart", "t")
    scenario.check_recovery()
