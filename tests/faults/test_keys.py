"""Keys that are refused or have changed: the tunnel waits for a person, and then no longer."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.e2e.keys import make_key
from tests.faults.proof import ON_RESTART, proves

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@proves("our key is refused, and put back", says=("blocked", "auth"), flows=ON_RESTART)
def test_a_refused_key_blocks_until_a_restart(scene: Scene) -> None:
    keys = scene.site.authorized_keys.read_text()
    scene.begins()
    scene.site.authorized_keys.write_text("")
    scene.link.reset()
    scene.says_so()
    attempts = scene.link.accepted
    scene.site.authorized_keys.write_text(keys)
    # Nothing here has changed, so it asks again in five minutes, or now.
    assert scene.program.tunnel("t").state == "blocked"
    assert scene.link.accepted == attempts
    scene.program.succeed("restart", "t")
    scene.recovers()


@proves(
    "the server's host key changes, and is put back",
    says=("blocked", "host_key_changed"),
    flows=ON_RESTART,
)
def test_a_changed_host_key_blocks_until_a_restart(scene: Scene) -> None:
    kept = scene.site.directory / "kept"
    scene.begins()
    shutil.copy(scene.server.host_key, kept)
    scene.server.kill()
    make_key(scene.server.host_key)
    scene.server.start()
    scene.says_so()
    logins = scene.server.logins()
    scene.server.kill()
    shutil.copy(kept, scene.server.host_key)
    scene.server.start()
    assert scene.program.tunnel("t").state == "blocked"
    assert logins == 1
    scene.program.succeed("restart", "t")
    scene.recovers()
