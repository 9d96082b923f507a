"""The secret with versions, from Secrets Manager's wire protocol."""

import json

import pytest

from gateway.governance.versioned_secret import SecretMalformed, VersionedSecret
from tests.lambdas.governance.budgets import FixedClock
from tests.lambdas.governance.emulator import PEPPER, Emulator


def make(emulator: Emulator, value: object, clock: FixedClock) -> tuple[VersionedSecret, str]:
    name = emulator.make_pepper(value)
    return VersionedSecret(emulator.secrets_manager(), name, clock=clock), name


def test_versions_are_handed_out_and_unknown_ones_are_none(emulator: Emulator) -> None:
    secret, _ = make(emulator, PEPPER, FixedClock())
    assert secret.current() == ("v1", PEPPER["v1"].encode())
    assert secret.key("v2") == PEPPER["v2"].encode()
    assert secret.key("v3") is None
    assert secret.key("current") is None


def test_a_version_that_is_new_is_found_before_the_cache_ends(emulator: Emulator) -> None:
    clock = FixedClock()
    secret, name = make(emulator, PEPPER, clock)
    secret.current()
    emulator.secrets_manager().put_secret_value(
        SecretId=name, SecretString=json.dumps({**PEPPER, "v3": "r" * 40})
    )
    assert secret.key("v3") is None
    clock.now += 10
    assert secret.key("v3") == b"r" * 40


def test_an_outage_is_survived_with_the_last_known_value(emulator: Emulator) -> None:
    clock = FixedClock()
    secret, name = make(emulator, PEPPER, clock)
    secret.current()
    emulator.secrets_manager().delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    clock.now += 300
    assert secret.key("v1") == PEPPER["v1"].encode()


def test_an_outage_before_the_first_value_is_not_hidden(emulator: Emulator) -> None:
    client = emulator.secrets_manager()
    secret = VersionedSecret(client, "missing", clock=FixedClock())
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        secret.current()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("swordfish-swordfish-swordfish-swordfish", "must be a JSON object"),
        ({"current": "v1", "v1": 5}, "must be a JSON object of strings"),
        ({"current": "v9", "v1": "swordfish" * 5}, "must name one of its other fields"),
        ({"current": "current"}, "must name one"),
        ({"v1": "swordfish" * 5}, "must name one"),
        ({"current": "v1", "v1": "swordfish"}, "v1 are shorter than 32"),
    ],
)
def test_a_malformed_secret_is_told_without_any_of_its_value(
    emulator: Emulator, value: object, message: str
) -> None:
    secret, _ = make(emulator, value, FixedClock())
    with pytest.raises(SecretMalformed, match=message) as caught:
        secret.current()
    assert "swordfish" not in str(caught.value)


def test_text_that_is_not_json_is_malformed(emulator: Emulator) -> None:
    secret, name = make(emulator, PEPPER, FixedClock())
    emulator.secrets_manager().put_secret_value(SecretId=name, SecretString="{not json")
    with pytest.raises(SecretMalformed, match="must be a JSON object"):
        secret.current()
