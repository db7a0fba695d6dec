from __future__ import annotations

from tunnelkeeper.ssh.auth.identity_order import Identity, find_signer, order_identities
from tunnelkeeper.ssh.auth.public_keys import PublicKey

CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com"


def key(name: str) -> PublicKey:
    return PublicKey("ssh-ed25519", name.encode(), name.encode())


def certificate(name: str) -> PublicKey:
    return PublicKey(CERTIFICATE, f"certificate of {name}".encode(), name.encode())


def file(name: str) -> Identity:
    return Identity(name, key(name))


def held(name: str) -> Identity:
    return Identity(f"comment of {name}", key(name), in_agent=True)


def names(identities: tuple[Identity, ...]) -> list[str]:
    return [str(identity) for identity in identities]


def test_certificates_then_named_agent_keys_then_other_agent_keys_then_files() -> None:
    order = order_identities(
        [Identity("apart-cert.pub", certificate("b"))],
        [file("a"), file("b")],
        [held("x"), held("b")],
        identities_only=False,
    )

    assert names(order) == ["apart-cert.pub", "b (agent)", "comment of x (agent)", "a"]


def test_agent_keys_keep_the_order_of_the_agent() -> None:
    order = order_identities(
        [], [file("a"), file("b")], [held("b"), held("a")], identities_only=True
    )

    assert names(order) == ["b (agent)", "a (agent)"]


def test_identities_only_excludes_only_agent_keys_without_a_file() -> None:
    order = order_identities([], [file("a")], [held("x")], identities_only=True)

    assert names(order) == ["a"]


def test_an_agent_key_replaces_one_of_two_files_with_its_key() -> None:
    files = [file("a"), Identity("copy of a", key("a"))]

    order = order_identities([], files, [held("a")], identities_only=True)

    assert names(order) == ["a (agent)", "copy of a"]


def test_a_file_whose_public_key_is_unknown_stays_a_file() -> None:
    order = order_identities([], [Identity("pem", None)], [held("a")], identities_only=False)

    assert names(order) == ["comment of a (agent)", "pem"]


def test_a_certificate_in_the_agent_is_not_the_plain_key_of_a_file() -> None:
    agent = [Identity("comment", certificate("a"), in_agent=True)]

    order = order_identities([], [file("a")], agent, identities_only=False)

    assert names(order) == ["comment (agent)", "a"]


# Signers


def test_a_plain_key_signs_for_itself() -> None:
    assert find_signer(file("a"), [file("b")]) == file("a")


def test_the_plain_key_signs_for_its_certificate() -> None:
    apart = Identity("apart-cert.pub", certificate("a"))

    assert find_signer(apart, [apart, file("b"), held("a"), file("a")]) == held("a")


def test_a_private_key_with_an_unknown_public_key_signs_by_its_name() -> None:
    apart, pem = Identity("id-cert.pub", certificate("a")), Identity("id", None)

    assert find_signer(apart, [apart, Identity("other", None), pem]) == pem


def test_a_certificate_without_a_plain_key_signs_for_itself() -> None:
    in_agent = Identity("comment", certificate("a"), in_agent=True)

    assert find_signer(in_agent, [in_agent, Identity("comment", None)]) == in_agent
