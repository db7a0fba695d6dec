"""`relay init`, `relay add` and `relay remove`: the files and lines that they write."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.in_process_relay import new_key, public
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.relay import config, enrolment, initial_files, set_up
from tunnelkeeper.relay.config import RelayConfiguration
from tunnelkeeper.relay.config_check import check
from tunnelkeeper.relay.enrolment import EnrolmentError, UnknownUserError, rights_of
from tunnelkeeper.relay.permits import ANYTHING, HostPermit, NamesPermit
from tunnelkeeper.relay.set_up import Added, AddRequest

LISTEN, ADDRESS = TcpAddress("*", 2222), TcpAddress("relay.example.com", 443)


@pytest.fixture
def configuration(tmp_path: Path) -> RelayConfiguration:
    """Make the files of a relay, and return its configuration."""
    initial_files.create(tmp_path / "relay.toml", LISTEN, ADDRESS, None)
    return config.ConfigSource(tmp_path / "relay.toml").read()


def add(
    configuration: RelayConfiguration,
    user: str,
    *,
    listen: tuple[str, ...] = (),
    open_: tuple[str, ...] = (),
    key: str | None = None,
) -> Added:
    new = Path(configuration.path).parent / f"id_{user}"
    public_key = None if key is None else (key, "box.pub")
    request = AddRequest(user, listen, open_, public_key, new, None)
    return set_up.add(request, configuration)


def lines_of(configuration: RelayConfiguration, user: str) -> list[str]:
    file = Path(configuration.authorized_keys.replace("%u", user))
    return file.read_text().splitlines() if file.exists() else []


# -- init ------------------------------------------------------------------------------------------


def test_init_makes_a_relay_without_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "relay" / "relay.toml"
    made = initial_files.create(path, LISTEN, ADDRESS, None)
    read = config.ConfigSource(path).read()

    assert {Path(name).name for name in made.created} == {
        "relay",
        "relay.toml",
        "authorized_keys",
        "relay_host_key",
    }
    assert (read.listen, read.public_address) == ((LISTEN,), ADDRESS)
    assert read.permit_open == (NamesPermit(),)
    assert stat.S_IMODE((tmp_path / "relay" / "relay_host_key").stat().st_mode) == 0o600
    problems, warnings = check(config.ConfigSource(path))
    assert problems == []
    assert [str(warning) for warning in warnings if "no user can log in" not in str(warning)] == []


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("# mine\n")
    key = initial_files.create(path, LISTEN, None, None)
    before = (tmp_path / "relay_host_key").read_text()
    again = initial_files.create(path, LISTEN, ADDRESS, None)

    assert path.read_text() == "# mine\n"
    assert str(path) in key.kept
    assert again.created == []
    assert (tmp_path / "relay_host_key").read_text() == before


def test_init_for_a_service_leaves_the_host_key_to_it(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    initial_files.create(path, LISTEN, None, tmp_path / "state")

    assert config.load(path).host_keys == (str(tmp_path / "state" / "relay_host_key"),)
    assert config.load(path).public_address is None
    assert not (tmp_path / "state").exists()


def test_init_does_not_write_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").symlink_to(tmp_path / "elsewhere")
    files = initial_files.create(tmp_path / "relay.toml", LISTEN, None, None)

    assert not (tmp_path / "elsewhere").exists()
    assert str(tmp_path / "relay.toml") in files.kept


# -- add -------------------------------------------------------------------------------------------


def test_a_box_gets_its_name_and_nothing_else(configuration: RelayConfiguration) -> None:
    key = public(new_key())
    added = add(configuration, "box17", key=f"{key} me@laptop\n")

    assert lines_of(configuration, "box17") == [
        f'restrict,port-forwarding,permitlisten="box17:22",permitopen="none:1" {key} box17'
    ]
    assert added.address == ADDRESS
    assert added.enrolment.private_key is None
    assert added.instructions.known_hosts[0].startswith("[relay.example.com]:443 ssh-ed25519 AAAA")
    assert "PRIVATE" not in added.text
    assert 'remote = ["box17:22:localhost:22"]' in added.text
    assert "-p 443 -R box17:22:localhost:22 box17@relay.example.com" in added.text


def test_a_person_may_open_a_box_and_listen_on_nothing(configuration: RelayConfiguration) -> None:
    key = public(new_key())
    added = add(configuration, "ann", open_=("box17:22", "box17:80"), key=key)

    opens = 'permitopen="box17:22",permitopen="box17:80"'
    assert lines_of(configuration, "ann") == [
        f'restrict,port-forwarding,permitlisten="none:1",{opens} {key} ann'
    ]
    assert added.instructions.tunnels_toml == ""
    assert added.instructions.ssh == [
        "ssh box17",
        "ssh -N -L 8080:box17:80 relay.example.com",
    ]
    assert "ProxyJump relay.example.com" in added.instructions.ssh_config


def test_a_generated_key_is_written_with_mode_0600_and_not_printed(
    configuration: RelayConfiguration,
) -> None:
    added = add(configuration, "box17")

    assert added.enrolment.private_key is not None
    written = added.enrolment.private_key
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert written.read_text().split("\n")[1] not in added.text
    with pytest.raises(EnrolmentError, match="id_box17: exists already"):
        add(configuration, "box17")
    assert len(lines_of(configuration, "box17")) == 1


def test_a_generated_key_is_removed_if_its_line_cannot_be_written(
    configuration: RelayConfiguration,
) -> None:
    folder = Path(configuration.authorized_keys).parent
    folder.rename(folder.with_name("away"))
    with pytest.raises(EnrolmentError, match="no such folder") as refused:
        add(configuration, "box17")
    assert refused.value.hint == "tunnelkeeper relay init"
    assert not (Path(configuration.path).parent / "id_box17").exists()

    folder.with_name("away").rename(folder)
    add(configuration, "box17")
    with pytest.raises(EnrolmentError, match="exists already") as refused:
        add(configuration, "box17")
    assert re.search(r"`ssh-keygen -y -f .*id_box17 \| ", refused.value.hint)


def test_a_second_key_of_a_user_is_added_and_the_same_key_is_not(
    configuration: RelayConfiguration,
) -> None:
    key = public(new_key())
    add(configuration, "box17", key=key)
    add(configuration, "box17", key=public(new_key()))
    with pytest.raises(EnrolmentError, match=r"box17:1: has this key already"):
        add(configuration, "box17", key=key)

    assert len(lines_of(configuration, "box17")) == 2


def test_an_existing_file_keeps_its_lines_and_its_mode(configuration: RelayConfiguration) -> None:
    file = Path(configuration.authorized_keys.replace("%u", "box17"))
    file.write_bytes(b"# by hand \xff")
    file.chmod(0o640)
    add(configuration, "box17", key=public(new_key()))

    assert file.read_bytes().startswith(b"# by hand \xff\nrestrict")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_without_a_public_address_the_owner_is_asked_to_replace_it(
    configuration: RelayConfiguration,
) -> None:
    added = add(replace(configuration, public_address=None), "box17", key=public(new_key()))

    assert added.address.port == 2222
    assert added.notes[0].startswith(f"Replace {added.address.host} below")


@pytest.mark.parametrize(
    ("listen", "open_", "changes", "message"),
    [
        (("22",), (), {"names": ()}, "names = false"),
        (("22",), (), {"permit_open": (HostPermit("box17", 22),)}, "box17 is a host in permit_"),
        (("22",), (), {"permit_listen": (HostPermit("*", 80),)}, "permit_listen in relay.toml"),
        ((), ("db:22",), {"permit_open": ()}, r'"db:22"; add "names" there'),
        ((), ("10.0.0.1:22",), {}, r'"10.0.0.1:22"; add "10.0.0.1:22" there'),
        (("http",), (), {}, "--listen: expected a port"),
        (("*:22",), (), {}, "have to be written by hand"),
        (("box*:22",), (), {}, "have to be written by hand"),
        (("/run/x",), (), {}, "have to be written by hand"),
        ((), ("22",), {}, "--open: expected host:port"),
        ((), ("box17:*",), {}, "have to be written by hand"),
    ],
)
def test_a_line_that_would_not_work_is_not_written(
    configuration: RelayConfiguration,
    listen: tuple[str, ...],
    open_: tuple[str, ...],
    changes: dict[str, object],
    message: str,
) -> None:
    changed = replace(configuration, **changes)  # type: ignore[arg-type]
    with pytest.raises(EnrolmentError) as refused:
        add(changed, "box17", listen=listen, open_=open_, key=public(new_key()))
    assert re.search(message, f"{refused.value}; {refused.value.hint}")
    assert lines_of(configuration, "box17") == []


@pytest.mark.parametrize("user", ["box.17", "localhost", "2222", "box-", "xn--a"])
def test_a_user_that_is_no_name_gets_no_port_of_the_relay(
    configuration: RelayConfiguration, user: str
) -> None:
    key = public(new_key())
    with pytest.raises(EnrolmentError, match=f"^{user} cannot be a name"):
        add(configuration, user, key=key)
    assert lines_of(configuration, user) == []
    add(configuration, user, listen=("home:22",), key=key)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "pass its public half, box.pub.pub"),
        ("", "expected one public key, got 0"),
        ("nonsense", "expected a key type"),
        ('command="x" {key}', "without options"),
        ("{key}\n{other}\n", "expected one public key, got 2"),
    ],
)
def test_a_file_that_is_not_one_public_key_is_refused(
    configuration: RelayConfiguration, key: str, message: str
) -> None:
    text = key.format(key=public(new_key()), other=public(new_key()))
    with pytest.raises(EnrolmentError) as refused:
        add(configuration, "box17", key=text)
    assert re.search(message, f"{refused.value}; {refused.value.hint}")


@pytest.mark.parametrize("user", ["", "..", "../box", "a/b", "a b", ".box", "-x", "a" * 65])
def test_a_user_cannot_lead_out_of_the_folder(configuration: RelayConfiguration, user: str) -> None:
    for listen in ((), ("home:22",)):
        with pytest.raises(EnrolmentError, match="is not a user name"):
            add(configuration, user, listen=listen, key=public(new_key()))


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_argument_breaks_out_of_the_options(listen: str, open_: str) -> None:
    configuration = RelayConfiguration(permit_open=(ANYTHING, NamesPermit()))
    options = 'permitlisten="refused",permitopen="refused"'
    with suppress(EnrolmentError):
        options = rights_of("box17", (listen,), (open_,), configuration).options
    assert options.count('"') == 4
    assert options.isprintable()


# -- remove ----------------------------------------------------------------------------------------


def test_remove_deletes_the_file_of_a_user(configuration: RelayConfiguration) -> None:
    added = add(configuration, "box17", key=public(new_key()))
    add(configuration, "box18", key=public(new_key()))

    file, removed = enrolment.remove("box17", None, configuration)

    assert removed == [added.enrolment.fingerprint]
    assert not file.exists()
    assert len(lines_of(configuration, "box18")) == 1
    with pytest.raises(UnknownUserError, match="has no line of box17"):
        enrolment.remove("box17", None, configuration)


def test_remove_of_one_key_leaves_the_others_and_comments(
    configuration: RelayConfiguration,
) -> None:
    file = Path(configuration.authorized_keys.replace("%u", "box17"))
    file.write_text("# by hand\n")
    first = add(configuration, "box17", key=public(new_key()))
    add(configuration, "box17", key=public(new_key()))
    before = lines_of(configuration, "box17")

    enrolment.remove("box17", first.enrolment.fingerprint, configuration)

    assert lines_of(configuration, "box17") == [before[0], before[2]]


def test_in_a_file_for_all_users_only_the_lines_of_the_user_are_removed(
    configuration: RelayConfiguration, tmp_path: Path
) -> None:
    shared = replace(configuration, authorized_keys=str(tmp_path / "shared"))
    add(shared, "box17", key=public(new_key()))
    add(shared, "box1", key=public(new_key()))

    enrolment.remove("box17", None, shared)

    [line] = (tmp_path / "shared").read_text().splitlines()
    assert line.endswith(" box1")
