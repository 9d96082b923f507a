"""API keys against a real directory table and pepper: what is accepted, and for how long."""

import contextlib
import hmac
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.administration import Administration, AdministrationError, NewKey, Team
from gateway.governance.api_keys import REFUSAL, ApiKey, ApiKeyAuthenticator
from gateway.governance.budget import Limits, Scope
from gateway.governance.directory import Directory
from gateway.governance.identity import CachedAuthenticator, Caller, Suspended, Unauthenticated
from gateway.governance.versioned_secret import VersionedSecret
from tests.lambdas.governance.budgets import FixedClock
from tests.lambdas.governance.emulator import PEPPER, Emulator

DAY = 86_400


@dataclass
class House:
    """A directory with one team, its administration, and the authenticator that reads it."""

    clock: FixedClock
    administration: Administration
    directory: Directory
    authenticator: ApiKeyAuthenticator
    pepper: str

    def call(self, key: ApiKey | str) -> Caller:
        return self.authenticator.authenticate({"Authorization": f"Bearer {key}"})


@pytest.fixture
def house(emulator: Emulator, directory_table: str) -> House:
    clock = FixedClock()
    pepper = emulator.make_pepper()
    peppers = VersionedSecret(emulator.secrets_manager(), pepper, clock=clock)
    client = emulator.dynamodb()
    administration = Administration(client, directory_table, peppers, clock=clock)
    administration.put_team(Team("search", models=["fast", "smart"]))
    directory = Directory(client, directory_table, clock=clock)
    return House(
        clock,
        administration,
        directory,
        ApiKeyAuthenticator(directory, peppers, clock=clock),
        pepper,
    )


def test_a_new_key_is_its_teams_caller(house: House) -> None:
    key = house.administration.create_key(NewKey("search"))
    assert house.call(key) == Caller(
        key_id=key.key_id,
        team="search",
        models=frozenset({"fast", "smart"}),
        redaction="redacted",
    )


def test_a_key_may_use_only_models_that_its_team_may_use_too(house: House) -> None:
    new = NewKey("search", models=["smart", "huge"], redaction="full")
    caller = house.call(house.administration.create_key(new))
    assert caller.models == frozenset({"smart"})
    assert caller.redaction == "full"


def test_a_wrong_secret_of_a_known_id_is_refused(house: House) -> None:
    key = house.administration.create_key(NewKey("search"))
    with pytest.raises(Unauthenticated, match="not valid"):
        house.call(ApiKey.generate(key.key_id))


def test_the_secret_of_another_key_is_refused(house: House) -> None:
    one = house.administration.create_key(NewKey("search"))
    two = house.administration.create_key(NewKey("search"))
    with pytest.raises(Unauthenticated):
        house.call(ApiKey(one.key_id, two.secret))


@pytest.mark.parametrize(
    "text",
    ["lp_", "lp_abc_def", "lp_" + "a" * 16 + "_" + "A" * 52, "sk-123", "lp_" + "a" * 70],
)
def test_what_is_not_a_key_is_refused_without_a_lookup(house: House, text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        house.call(text)
    assert text not in str(caught.value)


def test_unknown_wrong_expired_and_revoked_keys_get_the_same_answer(house: House) -> None:
    expired = house.administration.create_key(NewKey("search", valid_until=int(house.clock.now)))
    revoked = house.administration.create_key(NewKey("search"))
    house.administration.revoke_key(revoked.key_id)
    wrong = ApiKey.generate(house.administration.create_key(NewKey("search")).key_id)
    for key in (ApiKey.generate(), wrong, expired, revoked):
        with pytest.raises(Unauthenticated) as caught:
            house.call(key)
        assert caught.value.reason == REFUSAL
        assert key.secret not in repr(key)


def test_every_refusal_compares_as_many_digests_as_a_success(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the time of the answer would tell which ids exist."""
    known = house.administration.create_key(NewKey("search"))
    compared: list[int] = []
    real = hmac.compare_digest

    def counting(left: str, right: str) -> bool:
        compared.append(len(left) - len(right))
        return real(left, right)

    monkeypatch.setattr("gateway.governance.api_keys.hmac.compare_digest", counting)
    counts = []
    for key in (known, ApiKey.generate(known.key_id), ApiKey.generate()):
        compared.clear()
        with contextlib.suppress(Unauthenticated):
            house.call(key)
        assert set(compared) == {0}
        counts.append(len(compared))
    assert counts == [2, 2, 2]


def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(house: House) -> None:
    old = house.administration.create_key(NewKey("search"))
    new = house.administration.rotate_key(old.key_id, overlap_seconds=DAY)
    assert house.call(old) == house.call(new)
    house.clock.now += DAY
    assert house.call(new).key_id == old.key_id
    with pytest.raises(Unauthenticated):
        house.call(old)


def test_a_second_rotation_ends_the_first_secret_at_once(house: House) -> None:
    first = house.administration.create_key(NewKey("search"))
    second = house.administration.rotate_key(first.key_id, overlap_seconds=DAY)
    third = house.administration.rotate_key(first.key_id, overlap_seconds=DAY)
    assert house.call(second) == house.call(third)
    with pytest.raises(Unauthenticated):
        house.call(first)


def test_revoking_ends_both_secrets_at_the_next_request(house: House) -> None:
    old = house.administration.create_key(NewKey("search"))
    new = house.administration.rotate_key(old.key_id, overlap_seconds=DAY)
    house.administration.revoke_key(old.key_id)
    for key in (old, new):
        with pytest.raises(Unauthenticated):
            house.call(key)


def test_a_revoked_key_works_no_longer_than_the_cache_of_callers(house: House) -> None:
    key = house.administration.create_key(NewKey("search"))
    cached = CachedAuthenticator(house.authenticator, seconds=300, clock=house.clock)
    headers = {"x-api-key": str(key)}
    cached.authenticate(headers)
    house.administration.revoke_key(key.key_id)
    house.clock.now += 299
    assert cached.authenticate(headers).key_id == key.key_id
    house.clock.now += 1
    with pytest.raises(Unauthenticated):
        cached.authenticate(headers)


def test_the_cache_forgets_the_oldest_callers_first(house: House) -> None:
    keys = [house.administration.create_key(NewKey("search")) for _ in range(3)]
    cached = CachedAuthenticator(house.authenticator, seconds=300, size=2, clock=house.clock)
    for key in keys:
        cached.authenticate({"x-api-key": str(key)})
        house.administration.revoke_key(key.key_id)
    assert cached.authenticate({"x-api-key": str(keys[2])}).key_id == keys[2].key_id
    with pytest.raises(Unauthenticated):
        cached.authenticate({"x-api-key": str(keys[0])})


def test_a_key_made_with_an_older_pepper_works_until_that_pepper_is_gone(
    house: House, emulator: Emulator
) -> None:
    secrets = emulator.secrets_manager()
    old = house.administration.create_key(NewKey("search"))
    rotated = json.dumps({**PEPPER, "current": "v2"})
    secrets.put_secret_value(SecretId=house.pepper, SecretString=rotated)
    house.clock.now += 300
    new = house.administration.create_key(NewKey("search"))
    assert house.call(old).team == house.call(new).team
    only_new = json.dumps({"current": "v2", "v2": PEPPER["v2"]})
    secrets.put_secret_value(SecretId=house.pepper, SecretString=only_new)
    house.clock.now += 300
    assert house.call(new).team == "search"
    with pytest.raises(Unauthenticated):
        house.call(old)


def test_a_suspended_team_is_told_so_within_a_minute(house: House) -> None:
    key = house.administration.create_key(NewKey("search"))
    house.call(key)
    house.administration.put_team(Team("search", suspended=True))
    house.clock.now += 60
    with pytest.raises(Suspended, match="may not use the gateway"):
        house.call(key)


def test_a_key_of_a_team_that_is_gone_is_refused(
    house: House, emulator: Emulator, directory_table: str
) -> None:
    key = house.administration.create_key(NewKey("search"))
    emulator.dynamodb().delete_item(TableName=directory_table, Key={"id": {"S": "TEAM#search"}})
    with pytest.raises(Suspended):
        house.call(key)


def test_limits_of_key_and_team_are_read_and_refreshed(house: House) -> None:
    new = NewKey("search", limits=Limits(requests_per_minute=5))
    key = house.administration.create_key(new)
    caller = house.call(key)
    found = {scoped.scope: scoped.limits for scoped in house.directory.limits(caller)}
    assert found == {Scope.KEY: Limits(requests_per_minute=5), Scope.TEAM: Limits()}
    house.administration.put_team(Team("search", limits=Limits(micro_usd_per_month=7)))
    house.clock.now += 60
    found = {scoped.scope: scoped.limits for scoped in house.directory.limits(caller)}
    assert found[Scope.KEY] == Limits(requests_per_minute=5)
    assert found[Scope.TEAM] == Limits(micro_usd_per_month=7)


def test_callers_without_a_key_record_have_the_teams_limits_only(house: House) -> None:
    user = Caller(key_id="jwt-0123", team="nowhere", models=None, redaction="off")
    assert [scoped.limits for scoped in house.directory.limits(user)] == [Limits(), Limits()]


def test_the_table_never_holds_a_secret(
    house: House, emulator: Emulator, directory_table: str
) -> None:
    key = house.administration.create_key(NewKey("search"))
    new = house.administration.rotate_key(key.key_id, overlap_seconds=DAY)
    items = str(emulator.dynamodb().scan(TableName=directory_table)["Items"])
    assert key.key_id in items
    assert key.secret not in items
    assert new.secret not in items
    assert PEPPER["v1"] not in items


def test_revoked_keys_are_not_rotated_and_missing_ones_are_named(house: House) -> None:
    key = house.administration.create_key(NewKey("search"))
    house.administration.revoke_key(key.key_id)
    with pytest.raises(AdministrationError, match="is revoked"):
        house.administration.rotate_key(key.key_id, overlap_seconds=0)
    with pytest.raises(AdministrationError, match="no key 'nobody'"):
        house.administration.revoke_key("nobody")


def test_of_two_rotations_at_once_one_is_told_to_try_again(
    house: House, emulator: Emulator, directory_table: str
) -> None:
    key = house.administration.create_key(NewKey("search"))
    client = emulator.dynamodb()

    def rotate_meanwhile(**_: object) -> None:
        house.administration.rotate_key(key.key_id, overlap_seconds=0)

    client.meta.events.register_first("after-call.dynamodb.GetItem", rotate_meanwhile)
    peppers = VersionedSecret(emulator.secrets_manager(), house.pepper, clock=house.clock)
    slower = Administration(client, directory_table, peppers, clock=house.clock)
    with pytest.raises(AdministrationError, match="changed by somebody else"):
        slower.rotate_key(key.key_id, overlap_seconds=DAY)
    with pytest.raises(Unauthenticated):
        house.call(key)


def test_what_cannot_be_administered_is_refused_in_sentences(house: House) -> None:
    for team, message in [
        (Team("Search Team"), "lower-case letters"),
        (Team("search", redaction="some"), "Use one of off"),
    ]:
        with pytest.raises(AdministrationError, match=message):
            house.administration.put_team(team)
    for new, message in [
        (NewKey("ghosts"), "ops usage limit --team ghosts"),
        (NewKey("search", redaction="none"), "does not exist"),
    ]:
        with pytest.raises(AdministrationError, match=message):
            house.administration.create_key(new)
    with pytest.raises(AdministrationError, match="not the ARN of a role"):
        house.administration.register_role("arn:aws:iam::123456789012:user/ada", "search")


@given(st.text())
def test_no_text_but_a_key_parses(text: str) -> None:
    with pytest.raises(Unauthenticated):
        ApiKey.parse(text)


def test_a_key_survives_being_written_and_read() -> None:
    key = ApiKey.generate()
    assert ApiKey.parse(str(key)) == key
