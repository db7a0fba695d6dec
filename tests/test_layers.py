"""Who may import whom: the architecture, held."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.imports import PACKAGE, ROOT, Import, When, imports, imports_in, layer_of, modules

LAYERS = {
    "core": "",
    "paths": "",
    "clock": "",
    "atomic_write": "",
    "collector": "",
    "net": "core clock",
    "config": "core net",
    "sshconfig": "core net",
    "autossh": "core",
    "presentation": "core",
    "systemd": "core atomic_write net",
    "importing": "core atomic_write net config sshconfig autossh systemd",
    "forwarding": "core net",
    "questions": "core net",
    "ssh": "core atomic_write net forwarding sshconfig questions",
    "control": "core net",
    "tunnel": (
        "core clock net config sshconfig forwarding questions ssh control systemd presentation"
    ),
    "relay": "core atomic_write paths clock net config control forwarding ssh systemd presentation",
    "oneshot": (
        "core clock net config sshconfig autossh forwarding questions ssh control presentation"
        " tunnel"
    ),
    "doctor": (
        "core net config sshconfig autossh questions ssh presentation systemd importing tunnel"
        " oneshot"
    ),
    "daemon": (
        "core paths clock net config sshconfig forwarding questions ssh control systemd"
        " presentation tunnel"
    ),
    "demo": "core control relay",
    "dashboard": "core control presentation",
    "cli": (
        "core paths atomic_write collector net config control systemd presentation autossh"
        " importing"
    ),
    "entry": "collector cli",
    "__main__": "entry",
}
"""Each layer (a folder or file below the package) and the layers that it may import."""

EXCEPTIONS = {
    ("cli.launch", "daemon"): "a front end may start a supervisor, and only late",
    ("cli.launch", "oneshot"): "the same for a program without a supervisor",
    ("cli.launch", "relay"): "the same for a relay",
    ("cli.launch", "doctor"): "the same for the checks of doctor",
    ("cli.demo", "demo"): "the same for the demo, which starts everything",
    ("cli.dashboard", "dashboard"): "late, so that the other commands start fast",
}
"""Modules that may import one layer more, and why."""

LIBRARIES = {
    "asyncio": (
        "clock control daemon dashboard doctor forwarding importing net oneshot questions relay ssh"
        " sshconfig tunnel"
    ),
    "asyncssh": "relay ssh",
    "click": "cli",
    "cryptography": "ssh",
    "msgspec": (
        "autossh cli config control core daemon dashboard doctor forwarding net oneshot relay ssh"
        " sshconfig systemd tunnel"
    ),
    "prompt_toolkit": "dashboard",
    "psutil": "daemon net relay",
    "rich": "cli",
    "tomli_w": "demo doctor importing",
    "wcwidth": "dashboard presentation",
}
"""Each library that is not Python's own, asyncio too, and the layers that may import it."""

PURE = (
    "autossh",
    "core",
    "control.jsonrpc",
    "control.payloads",
    "forwarding.socks",
    "importing",
    "net.bind_addresses",
    "systemd.status_text",
    "systemd.unit_templates",
    "systemd.quoting",
)
"""What decides and does nothing else: no clock, no files, no network, no chance of its own."""

EDGES = (
    "importing.ssh_g_resolver",
    "importing.config_file",
    "importing.specifier_values",
    "importing.readers",
    "importing.found_setups",
    "importing.ssh_config_files",
)
"""Modules of pure layers that act for them: they read files, run programs and write."""

HARMLESS = """
    __future__ collections.abc collections.deque dataclasses enum errno fnmatch.fnmatchcase heapq
    ipaddress itertools
    math msgspec re shlex string textwrap tomllib typing urllib.parse
    posixpath.join posixpath.normpath
    random.Random
    socket.AF_INET socket.AF_INET6 socket.inet_ntop
    tomli_w.dumps
"""
"""All that pure modules may import from outside: whole modules, or single names of others.

random.Random is deterministic for the seed that it is handed; inet_ntop only prints an address.
"""

VAGUE_NAMES = ("utils", "util", "helpers", "manager", "base", "common", "misc")
LONGEST_FILE = 400  # lines; at that, it is two files

IMPORTS = imports()
MODULES = modules()
FILES = [
    path.relative_to(ROOT)
    for folder in (PACKAGE, "tests", "docs", "benchmarks", "distribution")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def described(found: list[Import]) -> str:
    return "\n".join(str(each) for each in found)


def is_excepted(found: Import) -> bool:
    module = found.importer.removeprefix(f"{PACKAGE}.")
    return (module, found.target) in EXCEPTIONS and found.when is not When.AT_ONCE


def is_pure(module: str) -> bool:
    name = module.removeprefix(f"{PACKAGE}.")
    return name not in EDGES and any(name == pure or name.startswith(f"{pure}.") for pure in PURE)


def is_harmless(name: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in HARMLESS.split())


def loaded_with(module: str) -> set[str]:
    """All that is imported at once when a module is: modules of ours, and names of libraries."""
    loaded: set[str] = set()
    ahead = [module]
    while ahead:
        here = ahead.pop()
        if here not in loaded:
            loaded.add(here)
            ahead += [f.imported for f in IMPORTS if f.importer == here and f.when is When.AT_ONCE]
            ahead += [here.rpartition(".")[0]] if here.startswith(f"{PACKAGE}.") else []
    return loaded


# -- layers ----------------------------------------------------------------------------------------


def test_the_table_names_every_layer() -> None:
    assert {layer_of(module) for module in MODULES} - {PACKAGE} <= set(LAYERS)


def test_the_table_has_one_direction_only() -> None:
    order = list(LAYERS)
    for layer, below in LAYERS.items():
        assert set(below.split()) <= set(order[: order.index(layer)])


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    allowed = {layer, PACKAGE, *LAYERS[layer].split()}
    inside = [f for f in IMPORTS if f.layer == layer and f.is_inside and not is_excepted(f)]
    wrong = [f for f in inside if f.target not in allowed]

    assert not wrong, described(wrong)


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    wrong = [f for f in IMPORTS if f.importer == PACKAGE and f.is_inside]

    assert not wrong, described(wrong)


def edges() -> set[tuple[str, str]]:
    """Every import between two modules of the package: late and type-only imports count too."""
    inside = {(f.importer, f.imported) for f in IMPORTS if f.is_inside}
    return {(importer, imported) for importer, imported in inside if importer != imported}


def folder_of(module: str) -> str:
    """Return the package that holds a module; a top-level module is its own."""
    path = MODULES[module]
    if path.parent.name == PACKAGE:
        return module
    return ".".join(path.parent.relative_to(ROOT).parts)


def circle(among: set[tuple[str, str]]) -> list[str]:
    """One circle of imports, as graphlib names it; empty without one."""
    order = TopologicalSorter[str]()
    for importer, imported in among:
        order.add(importer, imported)
    try:
        order.prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(edges()) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    between = {(folder_of(importer), folder_of(imported)) for importer, imported in edges()}

    assert circle({(one, other) for one, other in between if one != other}) == []


def test_a_circle_inside_a_folder_is_found() -> None:
    back = next(edge for edge in sorted(edges()) if folder_of(edge[0]) == folder_of(edge[1]))

    assert circle(edges() | {back[::-1]})


# -- libraries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    allowed = LIBRARIES[library].split()
    wrong = [f for f in IMPORTS if f.target == library and f.layer not in allowed]

    assert not wrong, described(wrong)


def test_no_library_is_imported_that_is_not_in_the_table() -> None:
    known = sys.stdlib_module_names | set(LIBRARIES)
    wrong = [f for f in IMPORTS if not f.is_inside and f.target not in known]

    assert not wrong, described(wrong)


def test_what_is_pure_imports_nothing_that_acts() -> None:
    from_pure = [f for f in IMPORTS if is_pure(f.importer)]
    wrong = [f for f in from_pure if not f.is_inside and not is_harmless(f.imported)]

    assert not wrong, described(wrong)


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in {"cli", "__main__"}])
def test_a_front_end_starts_without_ssh_asyncio_and_rich(module: str) -> None:
    loaded = {layer_of(each) for each in loaded_with(module)}

    assert not loaded & {"asyncio", "asyncssh", "prompt_toolkit", "rich", "daemon", "tunnel", "ssh"}


# -- files -----------------------------------------------------------------------------------------


def test_every_module_says_in_a_docstring_what_its_job_is() -> None:
    trees = {module: ast.parse(path.read_text()) for module, path in MODULES.items()}

    assert [module for module, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_a_file_is_named_after_what_it_holds() -> None:
    assert not [str(path) for path in FILES if path.stem in VAGUE_NAMES]


def test_no_file_is_too_long_to_be_read() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in FILES}

    assert not {path: length for path, length in lengths.items() if length > LONGEST_FILE}


# -- the eye that all this is seen with ------------------------------------------------------------

SOURCE = """
import os.path
from random import Random, choice
if TYPE_CHECKING:
    from asyncssh import SSHKey
else:
    import json
class Late:
    import errno
    async def call(self):
        with suppress(ImportError):
            import asyncio
"""


def test_imports_are_seen_wherever_they_stand() -> None:
    assert imports_in(SOURCE) == [
        ("os.path", When.AT_ONCE, 2),
        ("random.Random", When.AT_ONCE, 3),
        ("random.choice", When.AT_ONCE, 3),
        ("asyncssh.SSHKey", When.FOR_TYPES, 5),
        ("json", When.AT_ONCE, 7),
        ("errno", When.AT_ONCE, 9),
        ("asyncio", When.LATE, 12),
    ]


def test_a_relative_import_is_refused_as_its_layer_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="line 1: imports are absolute here"):
        imports_in("from . import core")


def test_a_module_belongs_to_the_folder_or_file_below_the_package() -> None:
    modules_and_layers = {
        "tunnelkeeper": "tunnelkeeper",
        "tunnelkeeper.paths": "paths",
        "tunnelkeeper.core.forward_spec": "core",
        "asyncssh.connection": "asyncssh",
    }

    assert [layer_of(module) for module in modules_and_layers] == [*modules_and_layers.values()]
