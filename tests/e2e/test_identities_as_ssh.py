"""The same keys, certificates and agent with ssh and with tunnelkeeper.

Both log in with each set-up. The server's log shows which key or certificate got in, and what was
offered, in which order and by which algorithm name.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.identity_setup import IdentitySetup, assert_as_ssh
from tests.e2e.keys import certify_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.sandbox import Sandbox


# Set-ups. Each returns the key that logs in, plain or certified; None if none does.


def files_in_their_order(setup: IdentitySetup) -> Path:
    first, second, third = (setup.key(name) for name in ("first", "second", "third"))
    setup.identities(second, first, third)
    setup.authorize(first, third)
    return first


def missing_files(setup: IdentitySetup) -> Path:
    first = setup.key("first")
    setup.identities(first.with_name("missing"), first)
    setup.authorize(first)
    return first


def agent_keys_before_files(setup: IdentitySetup) -> Path:
    file, held = setup.key("file"), setup.key("held")
    setup.agent.add(held)
    setup.identities(file)
    setup.authorize(file, held)
    return held


def named_agent_keys_before_other_agent_keys(setup: IdentitySetup) -> Path:
    named, other = setup.key("named"), setup.key("other")
    for key in (other, named):
        setup.agent.add(key)
    setup.identities(named)
    setup.authorize(named, other)
    return named


def named_agent_keys_in_the_order_of_the_agent(setup: IdentitySetup) -> Path:
    first, second = setup.key("first"), setup.key("second")
    for key in (second, first):
        setup.agent.add(key)
    setup.identities(first, second)
    setup.option("IdentitiesOnly yes")
    setup.authorize(first, second)
    return second


def identities_only_without_other_agent_keys(setup: IdentitySetup) -> None:
    file, held = setup.key("file"), setup.key("held")
    setup.agent.add(held)
    setup.identities(file)
    setup.option("IdentitiesOnly yes")
    setup.authorize(held)


def a_pub_file_of_one_of_many_agent_keys(setup: IdentitySetup) -> Path:
    for number in range(9):
        setup.agent.add(setup.key(f"other{number}"))
    held = setup.key("held")
    setup.agent.add(held)
    held.unlink()
    setup.identities(held.with_name("held.pub"))
    setup.option("IdentitiesOnly yes")
    setup.authorize(held)
    return held


def a_pub_file_of_one_of_many_agent_keys_without_identities_only(setup: IdentitySetup) -> Path:
    held = a_pub_file_of_one_of_many_agent_keys(setup)
    setup.option("IdentitiesOnly no")
    return held


def a_private_key_that_exists_only_in_the_agent(setup: IdentitySetup) -> Path:
    held, other = setup.key("held"), setup.key("other")
    for key in (other, held):
        setup.agent.add(key)
    held.unlink()
    setup.identities(held)
    setup.authorize(held, other)
    return held


def a_pub_file_whose_key_is_not_in_the_agent(setup: IdentitySetup) -> Path:
    absent, file = setup.key("absent"), setup.key("file")
    setup.identities(absent.with_name("absent.pub"), file)
    setup.authorize(absent, file)
    return file


def too_many_agent_keys(setup: IdentitySetup) -> None:
    for number in range(8):
        setup.agent.add(setup.key(f"other{number}"))
    file = setup.key("file")
    setup.identities(file)
    setup.authorize(file)


def a_certificate_file_before_many_agent_keys(setup: IdentitySetup) -> Path:
    for number in range(6):
        setup.agent.add(setup.key(f"other{number}"))
    certified = setup.key("certified")
    setup.option(f"CertificateFile {setup.certify(certified)}")
    setup.identities(certified)
    setup.trust_certificates()
    return certified


def a_certificate_file_before_other_identities(setup: IdentitySetup) -> Path:
    plain, certified = setup.key("plain"), setup.key("certified")
    setup.option(f"CertificateFile {setup.certify(certified, 'apart.pub')}")
    setup.identities(plain, certified)
    setup.authorize(plain)
    setup.trust_certificates()
    return certified


def a_certificate_file_whose_key_is_only_in_the_agent(setup: IdentitySetup) -> Path:
    held, other = setup.key("held"), setup.key("other")
    setup.option(f"CertificateFile {setup.certify(held, 'apart.pub')}")
    for key in (other, held):
        setup.agent.add(key)
    held.unlink()
    setup.trust_certificates()
    return held


def a_certificate_file_without_a_private_key(setup: IdentitySetup) -> Path:
    absent, file = setup.key("absent"), setup.key("file")
    setup.option(f"CertificateFile {setup.certify(absent, 'apart.pub')}")
    absent.unlink()
    setup.identities(file)
    setup.authorize(file)
    setup.trust_certificates()
    return file


def a_certificate_file_for_a_host(setup: IdentitySetup) -> Path:
    file = setup.key("file")
    setup.option(f"CertificateFile {certify_host(setup.authority, file, 'host')}")
    setup.identities(file)
    setup.authorize(file)
    return file


def a_private_key_found_by_the_name_of_its_certificate(setup: IdentitySetup) -> Path:
    pem = setup.pem_key("id_rsa")
    setup.option(f"CertificateFile {setup.certify(pem)}")
    pem.with_name("id_rsa.pub").rename(pem.with_name("elsewhere.pub"))
    setup.identities(pem)
    setup.trust_certificates()
    shutil.copy(pem.with_name("elsewhere.pub"), pem.with_name("moved.pub"))
    return pem.with_name("moved")


def a_plain_key_before_the_certificate_beside_it(setup: IdentitySetup) -> Path:
    certified = setup.key("certified")
    setup.certify(certified)
    setup.identities(certified)
    setup.trust_certificates()
    return certified


def no_certificate_beside_a_key_with_a_certificate_file(setup: IdentitySetup) -> None:
    certified, other = setup.key("certified"), setup.key("other")
    setup.certify(certified)
    setup.identities(certified)
    setup.option(f"CertificateFile {other}.pub")
    setup.trust_certificates()


def a_certificate_as_identity_file(setup: IdentitySetup) -> Path:
    certified = setup.key("certified")
    setup.identities(setup.certify(certified, "apart.pub"), certified)
    setup.trust_certificates()
    return certified


def a_certificate_that_exists_only_in_the_agent(setup: IdentitySetup) -> Path:
    held = setup.key("held")
    certificate = setup.certify(held)
    setup.agent.add(held)
    setup.agent.remove_plain(held)
    certificate.unlink()
    setup.trust_certificates()
    return held


def a_named_certificate_of_the_agent(setup: IdentitySetup) -> Path:
    held, other = setup.key("held"), setup.key("other")
    setup.certify(held)
    for key in (other, held):
        setup.agent.add(key)
    setup.identities(held)
    setup.option("IdentitiesOnly yes")
    setup.authorize(other)
    setup.trust_certificates()
    return held


def an_encrypted_key_that_the_server_accepts(setup: IdentitySetup) -> Path:
    locked, file = setup.key("locked", passphrase="secret"), setup.key("file")
    setup.identities(locked, file)
    setup.authorize(locked, file)
    return file


def an_encrypted_key_that_the_server_refuses(setup: IdentitySetup) -> Path:
    locked, file = setup.key("locked", passphrase="secret"), setup.key("file")
    setup.identities(locked, file)
    setup.authorize(file)
    return file


def an_encrypted_key_without_a_public_key_file(setup: IdentitySetup) -> Path:
    locked, file = setup.key("locked", passphrase="secret"), setup.key("file")
    setup.authorize(locked, file)
    locked.with_name("locked.pub").unlink()
    setup.identities(locked, file)
    return file


def a_key_that_others_can_read(setup: IdentitySetup) -> Path:
    readable, file = setup.key("readable"), setup.key("file")
    readable.chmod(0o644)
    setup.identities(readable, file)
    setup.authorize(readable, file)
    return file


def a_public_key_file_of_another_key(setup: IdentitySetup) -> Path:
    wrong, other, file = setup.key("wrong"), setup.key("other"), setup.key("file")
    shutil.copy(f"{other}.pub", f"{wrong}.pub")
    setup.identities(wrong, file)
    setup.authorize(other, file)
    return file


def a_copy_of_a_key(setup: IdentitySetup) -> Path:
    first, file = setup.key("first"), setup.key("file")
    for suffix in ("", ".pub"):
        shutil.copy(f"{first}{suffix}", first.with_name(f"copy{suffix}"))
    setup.agent.add(first)
    setup.identities(first, first.with_name("copy"), file)
    setup.authorize(file)
    return file


def a_pem_key_without_a_public_key_file(setup: IdentitySetup) -> Path:
    pem, file = setup.pem_key("pem"), setup.key("file")
    setup.authorize(pem)
    shutil.copy(f"{pem}.pub", pem.with_name("moved.pub"))
    pem.with_name("pem.pub").unlink()
    setup.agent.add(file)
    setup.identities(file, pem)
    return pem.with_name("moved")


def an_unaccepted_type_of_agent_key(setup: IdentitySetup) -> Path:
    rsa, file = setup.key("rsa", "rsa"), setup.key("file")
    setup.agent.add(rsa)
    setup.identities(file)
    setup.option("PubkeyAcceptedAlgorithms ssh-ed25519")
    setup.authorize(rsa, file)
    return file


def the_accepted_signature_algorithm_of_an_rsa_key(setup: IdentitySetup) -> Path:
    rsa = setup.key("rsa", "rsa")
    setup.agent.add(rsa)
    setup.option("PubkeyAcceptedAlgorithms rsa-sha2-256")
    setup.authorize(rsa)
    return rsa


def a_server_that_requires_two_keys(setup: IdentitySetup) -> Path:
    refused, first, second = (setup.key(name) for name in ("refused", "first", "second"))
    setup.identities(refused, first, second)
    setup.server_options["AuthenticationMethods"] = "publickey,publickey"
    setup.authorize(first, second)
    return second


def an_agent_key_that_is_limited_to_this_server(setup: IdentitySetup) -> Path:
    held = setup.key("held")
    setup.limit_to(setup.server, held)
    setup.authorize(held)
    return held


def an_agent_key_that_is_limited_to_another_server(setup: IdentitySetup) -> Path:
    held, file = setup.key("held"), setup.key("file")
    setup.limit_to(setup.another_server(), held)
    setup.identities(file)
    setup.authorize(held, file)
    return file


CASES: tuple[Callable[[IdentitySetup], Path | None], ...] = (
    files_in_their_order,
    missing_files,
    agent_keys_before_files,
    named_agent_keys_before_other_agent_keys,
    named_agent_keys_in_the_order_of_the_agent,
    identities_only_without_other_agent_keys,
    a_pub_file_of_one_of_many_agent_keys,
    a_pub_file_of_one_of_many_agent_keys_without_identities_only,
    a_private_key_that_exists_only_in_the_agent,
    a_pub_file_whose_key_is_not_in_the_agent,
    too_many_agent_keys,
    a_certificate_file_before_many_agent_keys,
    a_certificate_file_before_other_identities,
    a_certificate_file_whose_key_is_only_in_the_agent,
    a_certificate_file_without_a_private_key,
    a_certificate_file_for_a_host,
    a_private_key_found_by_the_name_of_its_certificate,
    a_plain_key_before_the_certificate_beside_it,
    no_certificate_beside_a_key_with_a_certificate_file,
    a_certificate_as_identity_file,
    a_certificate_that_exists_only_in_the_agent,
    a_named_certificate_of_the_agent,
    an_encrypted_key_that_the_server_accepts,
    an_encrypted_key_that_the_server_refuses,
    an_encrypted_key_without_a_public_key_file,
    a_key_that_others_can_read,
    a_public_key_file_of_another_key,
    a_copy_of_a_key,
    a_pem_key_without_a_public_key_file,
    an_unaccepted_type_of_agent_key,
    the_accepted_signature_algorithm_of_an_rsa_key,
    a_server_that_requires_two_keys,
    an_agent_key_that_is_limited_to_this_server,
    an_agent_key_that_is_limited_to_another_server,
)


@pytest.mark.parametrize("prepare", CASES, ids=lambda case: case.__name__)
def test_identities_are_those_of_ssh(
    sandbox: Sandbox, prepare: Callable[[IdentitySetup], Path | None]
) -> None:
    setup = IdentitySetup(sandbox)
    assert_as_ssh(setup, prepare(setup))
