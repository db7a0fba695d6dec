import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunnelkeeper.ssh.auth.known_hosts import (
    SALT_BYTES,
    Changed,
    HostKeyLine,
    KnownHosts,
    KnownKeys,
    Marker,
    OtherTypeKnown,
    Revoked,
    Trusted,
    Unknown,
    check_ca,
    check_host_key,
    fingerprint,
    format_line,
    hash_host,
    host_pattern,
    known_key_types,
    parse,
)

SALT = bytes(range(SALT_BYTES))


def ssh_string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def key(seed: int, algorithm: str = "ssh-ed25519") -> bytes:
    return ssh_string(algorithm.encode()) + ssh_string(bytes([seed]) * 32)


OURS, THEIRS, THIRD = key(1), key(2), key(3)
RSA = key(4, "ssh-rsa")


def line(names: str, blob: bytes = OURS) -> str:
    algorithm = blob[4 : 4 + int.from_bytes(blob[:4])].decode()
    return f"{names} {algorithm} {base64.b64encode(blob).decode()}"


def known_hosts(*text: str) -> KnownHosts:
    lines, warnings = parse("\n".join(text), "kh")

    assert warnings == ()
    return KnownHosts(lines)


def known(*text: str, host: str = "host", port: int = 22, alias: str | None = None) -> KnownKeys:
    return known_hosts(*text).keys_for(host, port, alias)


def numbers(lines: tuple[HostKeyLine, ...]) -> list[int]:
    return [entry.number for entry in lines]


def only_warning(text: str) -> str:
    lines, (warning,) = parse(text, "kh")

    assert lines == ()
    return warning


def find_with_ssh_keygen(name: str, file: Path) -> list[int]:
    """Return the line numbers that ssh-keygen -F prints."""
    shown = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=False
    )
    lines = [line.split() for line in shown.stdout.splitlines() if line.startswith("# Host")]
    return [int(fields[fields.index("line") + 1]) for fields in lines]


# Parsing


def test_a_line_is_parsed_into_path_number_marker_patterns_and_key() -> None:
    lines, warnings = parse(f"# mine\n\n@revoked {line('One,*.two', RSA)} a comment\n", "kh")

    assert warnings == ()
    assert lines == (HostKeyLine("kh", 3, Marker.REVOKED, ("one", "*.two"), "ssh-rsa", RSA),)


def test_spaces_tabs_and_crlf_are_accepted_as_in_openssh() -> None:
    text = "\r\n \t# indented comment\r\n" + " \t" + line("host").replace(" ", "\t ") + " \t\r\n"

    assert numbers(parse(text, "kh")[0]) == [3]


def test_only_a_newline_ends_a_line() -> None:
    assert numbers(parse("# form feed \x0c, next line \x85, \u2028\n" + line("a"), "kh")[0]) == [2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("host", "expected host names, key type and key; the line ends before the key type"),
        ("host ssh-rsa", "expected host names, key type and key; the line ends before the key"),
        ("@revoked", "expected host names, key type and key; the line ends before the host names"),
        (
            "@trusted " + line("host"),
            "expected @cert-authority or @revoked as the marker, got '@trusted'",
        ),
        (
            "@revoked @cert-authority " + line("host"),
            "expected one marker at most, got a second one: '@cert-authority'",
        ),
        ("host ssh-rsa AAA!", "expected a key in base64, got 'AAA!'"),
        ("host ssh-rsa AAA", "expected a key in base64, got 'AAA'"),
        ("host ssh-rsa AAAA", "the key is cut short"),
        ("host ssh-rsa AAAAB3Nz", "the key is cut short"),
        (
            line("host").replace("ssh-ed25519", "ssh-rsa"),
            "the key type says 'ssh-rsa', the key itself 'ssh-ed25519'",
        ),
        (line("|1|AAAA|AAAA"), "expected a hashed host as |1|salt|hash, got '|1|AAAA|AAAA'"),
        (line("|2|x|y"), "expected a hashed host as |1|salt|hash, got '|2|x|y'"),
        (line("|1|\u00e9|y"), "expected a hashed host as |1|salt|hash, got '|1|\u00e9|y'"),
    ],
)
def test_a_malformed_line_is_skipped_with_a_warning_that_says_why(text: str, reason: str) -> None:
    assert only_warning(text) == f"kh:1: {reason}"


def test_a_malformed_line_does_not_affect_other_lines() -> None:
    lines, warnings = parse("\n".join([line("a"), "junk", line("b")]), "kh")

    assert numbers(lines) == [1, 3]
    assert [warning.split(" ")[0] for warning in warnings] == ["kh:2:"]


def test_a_warning_is_short_and_printable_whatever_the_line_holds() -> None:
    warning = only_warning("@\x1b[31m\udcff" + "x" * 1_000_000 + " y z")

    assert warning.isprintable()
    assert len(warning) < 200


@given(st.text(st.characters(codec=None, exclude_categories=[])), st.text())
@example("\ud800 \ud800 AAAABO2ggIA=", "\ud800")
@example("|1|" + "A" * 27 + "=|" + "A" * 27 + "= ssh-x AAAABXNzaC14", "")
def test_arbitrary_text_never_raises(text: str, name: str) -> None:
    lines, warnings = parse(text, "kh")
    check_host_key(KnownHosts(lines).keys_for(name, 2222, None), "ssh-ed25519", OURS)

    assert len(lines) + len(warnings) <= text.count("\n") + 1


@given(st.lists(st.sampled_from([*"@|!*?,# \t\n=1A", "\x00", "@revoked", line("h")])))
def test_almost_right_text_never_raises(parts: list[str]) -> None:
    for entry in parse("".join(parts), "kh")[0]:
        entry.matches("h")


# Names


@pytest.mark.parametrize(
    ("host", "port", "alias", "name"),
    [
        ("Host", 22, None, "host"),
        ("::1", 22, None, "::1"),
        ("FE80::1", 2222, None, "[fe80::1]:2222"),
        ("host", 2222, "Alias", "alias"),
    ],
)
def test_each_host_has_one_name(host: str, port: int, alias: str | None, name: str) -> None:
    assert host_pattern(host, port, alias) == name


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        ("a,b", "b", True),
        ("a,b", "a,b", False),
        ("UPPER", "upper", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("?.example", "a.example", True),
        ("?.example", ".example", False),
        ("*a*b", "xaxbxb", True),
        ("*a*b", "xaxbx", False),
        ("*,!bad.*", "good.example", True),
        ("*,!bad.*", "bad.example", False),
        ("!bad,*", "bad", False),
        ("!bad", "good", False),
        ("\N{KELVIN SIGN}", "k", False),
    ],
)
def test_patterns_match_as_in_sshd(names: str, host: str, *, expected: bool) -> None:
    (entry,) = known_hosts(line(names)).lines

    assert entry.matches(host) is expected


def test_a_pattern_with_many_stars_matches_quickly() -> None:
    (entry,) = known_hosts(line("*a" * 2000 + "b")).lines

    assert not entry.matches("a" * 255)


# Which lines count for a host


def test_host_keys_ca_keys_and_revoked_keys_are_separate() -> None:
    found = known(
        line("host"),
        "@cert-authority " + line("*", THEIRS),
        "@revoked " + line("*", THIRD),
        line("other"),
    )

    assert numbers(found.host_keys) == [1]
    assert numbers(found.ca_keys) == [2]
    assert numbers(found.revoked) == [3]
    assert found.host_keys_without_port == ()


def test_an_alias_replaces_host_and_port() -> None:
    text = [line("host"), line("[host]:2222", THEIRS), line("alias", THIRD), line("[alias]:2222")]
    found = known(*text, port=2222, alias="Alias")

    assert numbers(found.host_keys) == [3]
    assert found.host_keys_without_port == ()


def test_the_name_without_port_counts_only_if_no_key_is_known_with_the_port() -> None:
    line_without_port, with_port = line("host"), line("[host]:2222", THEIRS)

    assert numbers(known(line_without_port, port=2222).host_keys_without_port) == [1]
    assert known(line_without_port, port=2222).host_keys == ()
    assert known(line_without_port, with_port, port=2222).host_keys_without_port == ()
    assert numbers(known(line_without_port, with_port, port=2222).host_keys) == [2]


def test_ca_keys_for_the_name_with_and_without_port_both_count() -> None:
    with_port = "@cert-authority " + line("[host]:2222", OURS)
    without = "@cert-authority " + line("host", THEIRS)

    assert numbers(known(without, port=2222).ca_keys) == [1]
    assert numbers(known(without, with_port, port=2222).ca_keys) == [2, 1]


def test_a_revoked_key_counts_once_with_or_without_port() -> None:
    text = ["@revoked " + line("host"), "@revoked " + line("[host]:2222"), "@revoked " + line("*")]

    assert sorted(numbers(known(*text, port=2222).revoked)) == [1, 2, 3]


# Verdicts


def test_a_key_on_any_line_of_the_host_is_trusted() -> None:
    found = known(line("host", THEIRS), line("host", OURS))

    assert check_host_key(found, "ssh-ed25519", OURS) == Trusted(found.host_keys[1])


def test_a_key_of_an_unlisted_host_is_unknown() -> None:
    assert check_host_key(known(line("other")), "ssh-ed25519", OURS) == Unknown()


def test_a_different_key_of_the_same_type_is_changed_and_names_the_line() -> None:
    found = known(line("host", RSA), line("host", THEIRS), line("host", THIRD))

    assert check_host_key(found, "ssh-ed25519", OURS) == Changed(found.host_keys[1])


def test_a_host_known_only_with_other_key_types_is_not_unknown() -> None:
    found = known(line("host", RSA))

    assert check_host_key(found, "ssh-ed25519", OURS) == OtherTypeKnown(found.host_keys)


def test_revocation_overrides_a_trusted_line() -> None:
    found = known(line("host"), "@revoked " + line("*"))

    assert check_host_key(found, "ssh-ed25519", OURS) == Revoked(found.revoked[0])


def test_a_key_known_without_the_port_is_trusted_and_any_other_is_unknown() -> None:
    found = known(line("host"), port=2222)

    assert check_host_key(found, "ssh-ed25519", OURS) == Trusted(found.host_keys_without_port[0])
    assert check_host_key(found, "ssh-ed25519", THEIRS) == Unknown()


def test_a_ca_key_is_not_a_host_key() -> None:
    found = known("@cert-authority " + line("host"))

    assert check_host_key(found, "ssh-ed25519", OURS) == Unknown()


def test_a_certificate_is_checked_by_its_ca() -> None:
    found = known("@cert-authority " + line("host", THEIRS), line("host", THIRD))

    assert check_ca(found, ca_blob=THEIRS, host_blob=OURS) == Trusted(found.ca_keys[0])
    assert check_ca(found, ca_blob=THIRD, host_blob=OURS) == Unknown()


@pytest.mark.parametrize("revoked", [OURS, THEIRS], ids=["host key", "CA key"])
def test_a_certificate_with_a_revoked_host_or_ca_key_is_revoked(revoked: bytes) -> None:
    found = known("@cert-authority " + line("host", THEIRS), "@revoked " + line("*", revoked))

    assert check_ca(found, ca_blob=THEIRS, host_blob=OURS) == Revoked(found.revoked[0])


def test_known_key_types_are_in_file_order_without_repeats() -> None:
    found = known(line("host", RSA), line("host"), line("host", key(9, "ssh-rsa")))

    assert known_key_types(found) == ("ssh-rsa", "ssh-ed25519")
    assert known_key_types(known(line("host"), port=2222)) == ("ssh-ed25519",)


# Writing


@given(st.text(min_size=1), st.integers(1, 65535), st.none() | st.just(SALT))
@example("host", 22, None)
@example("::1", 22, None)
@example("fe80::1%eth0", 2222, SALT)
@example("*", 22, SALT)
def test_a_written_line_is_found_again_or_refused(host: str, port: int, salt: bytes | None) -> None:
    try:
        written = format_line(host_pattern(host, port, None), "ssh-ed25519", OURS, salt)
    except ValueError:
        assert salt is None
        return
    found = known(written, host=host, port=port)

    assert "\n" not in written
    assert isinstance(check_host_key(found, "ssh-ed25519", OURS), Trusted)


@pytest.mark.parametrize(
    "name",
    ["", "*", "a?", "!a", "a,b", "a b", "a\tb", "a\nb", "a\x00", "#a", "@a", "|1|x|y", "\udcff"],
)
def test_a_name_that_would_not_parse_back_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="known_hosts"):
        format_line(name, "ssh-ed25519", OURS, None)


def test_a_key_of_another_type_than_given_is_refused() -> None:
    with pytest.raises(ValueError, match="known_hosts cannot hold"):
        format_line("host", "ssh-rsa", OURS, None)


# Agreement with ssh-keygen


def test_a_fingerprint_equals_that_of_ssh_keygen(tmp_path: Path) -> None:
    file = tmp_path / "kh"
    file.write_text(line("host") + "\n")
    shown = subprocess.check_output(["ssh-keygen", "-lf", file], text=True)

    assert shown.split()[1] == fingerprint(OURS)


def test_names_hashed_by_ssh_keygen_are_found_and_hash_alike(tmp_path: Path) -> None:
    file = tmp_path / "kh"
    file.write_text(f"{line('Host.Example')}\n{line('[host]:2222', THEIRS)}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", file], capture_output=True, check=True)
    lines, warnings = parse(file.read_text(), "kh")
    salt = base64.b64decode(lines[0].patterns[0].split("|")[2])

    assert warnings == ()
    assert lines[0].patterns == (hash_host("Host.Example", salt),)
    assert numbers(KnownHosts(lines).keys_for("HOST.example", 22, None).host_keys) == [1]
    assert numbers(KnownHosts(lines).keys_for("host", 2222, None).host_keys) == [2]


def test_ssh_keygen_finds_names_hashed_here(tmp_path: Path) -> None:
    file = tmp_path / "kh"
    file.write_text(format_line("[host]:2222", "ssh-ed25519", OURS, SALT) + "\n")

    assert find_with_ssh_keygen("[host]:2222", file) == [1]
    assert find_with_ssh_keygen("host", file) == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("aB.*?!,", min_size=1, max_size=8), min_size=1, max_size=20),
    st.text("aB.", min_size=1, max_size=6),
)
def test_a_host_is_found_on_the_lines_where_ssh_keygen_finds_it(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], host: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "kh"
    file.write_text(text := "".join(line(name) + "\n" for name in names))
    found = KnownHosts(parse(text, "kh")[0]).keys_for(host, 22, None)

    assert numbers(found.host_keys) == find_with_ssh_keygen(host.lower(), file)
