import gc
import subprocess
import sys

import pytest

from tunnelkeeper.collector import collector

AT_EXIT = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count(), gc.isenabled(), file=sys.stderr))
from tunnelkeeper import entry
sys.argv[1:] = {arguments!r}
entry.main_or_autossh()
"""


def test_the_collector_is_paused_inside_the_block_only() -> None:
    with collector.paused():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_the_collector_runs_again_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), collector.paused():
        raise ImportError

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector.paused():
            pass

        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_without_an_entry_point_excludes_nothing_from_collections() -> None:
    before = gc.get_freeze_count()
    with collector.paused():
        held: list[list[int]] = [[] for _ in range(10)]

    assert gc.get_freeze_count() == before
    assert all(gc.is_tracked(each) for each in held)


def frozen_objects(*arguments: str) -> int:
    """Run a command of the program; return how many objects are excluded from collections."""
    script = AT_EXIT.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    count, is_enabled = done.stderr.split()
    assert is_enabled == "True"
    return int(count)


def test_what_a_program_imports_is_excluded_from_collections() -> None:
    for_version = frozen_objects("--version")

    assert for_version > 10_000
    assert frozen_objects("schema") > for_version  # its module is imported later
