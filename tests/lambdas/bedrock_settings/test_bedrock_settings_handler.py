"""The handler as the provider framework calls it, over the real protocols."""

import json
from typing import Any

import pytest

from bedrock_settings.account_settings import InvocationLogging
from bedrock_settings.custody import Configuration, SettingError
from bedrock_settings.handler import handler
from bedrock_settings.settings import SettingsError
from ops.fake_bedrock.control_plane import AccountSettings

STACK = "arn:aws:cloudformation:eu-central-1:111111111111:stack/llm-dev-gateway/1"
OTHER_STACK = "arn:aws:cloudformation:eu-central-1:111111111111:stack/audit/2"


def logging_to(bucket: str, **switches: bool) -> dict[str, Any]:
    return {
        "s3Config": {"bucketName": bucket},
        "textDataDeliveryEnabled": True,
        "imageDataDeliveryEnabled": False,
        **switches,
    }


OURS, NEWER, BEFORE, THEIRS = map(logging_to, ("ours", "newer", "before", "theirs"))


def event(
    request: str,
    configuration: Configuration = OURS,
    *,
    old: Configuration | None = None,
    stack: str = STACK,
) -> dict[str, Any]:
    body = {
        "RequestType": request,
        "StackId": stack,
        "LogicalResourceId": "InvocationLogging",
        "ResourceProperties": {"Configuration": json.dumps(configuration)},
    }
    if old is not None:
        body["OldResourceProperties"] = {"Configuration": json.dumps(old)}
    return body


def outcome(happening: dict[str, Any]) -> str:
    return str(handler(happening, None)["Data"]["Outcome"])


class Crash(BaseException):
    """What the function cannot catch: the process is gone."""


def test_creating_puts_the_setting_in_force(account: AccountSettings, parameter: str) -> None:
    answer = handler(event("Create"), None)
    assert account.logging == OURS
    assert answer["PhysicalResourceId"] == parameter


def test_deleting_turns_logging_off_when_it_was_off_before(account: AccountSettings) -> None:
    handler(event("Create"), None)
    assert outcome(event("Delete")) == "restored"
    assert account.logging is None


def test_deleting_puts_the_earlier_setting_back(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    handler(event("Delete"), None)
    assert account.logging == BEFORE


def test_the_earlier_setting_survives_updates(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    handler(event("Update", NEWER, old=OURS), None)
    assert account.logging == NEWER
    handler(event("Delete", NEWER), None)
    assert account.logging == BEFORE


def test_somebody_elses_change_is_not_undone(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.logging = THEIRS
    assert outcome(event("Delete")) == "left-to-others"
    assert account.logging == THEIRS


def test_logging_that_somebody_turned_off_stays_off(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.logging = None
    assert outcome(event("Delete")) == "left-to-others"
    assert account.logging is None


def test_an_update_over_somebody_elses_change_puts_theirs_back_later(
    account: AccountSettings,
) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.logging = THEIRS
    handler(event("Update", NEWER, old=OURS), None)
    assert account.logging == NEWER
    handler(event("Delete", NEWER), None)
    assert account.logging == THEIRS


def test_a_service_that_adds_blanks_and_switches_does_not_look_like_somebody(
    account: AccountSettings,
) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.logging = {
        **OURS,
        "s3Config": {"bucketName": "ours", "keyPrefix": ""},
        "videoDataDeliveryEnabled": True,
    }
    assert outcome(event("Delete")) == "restored"
    assert account.logging == BEFORE


def test_deleting_twice_leaves_the_earlier_setting(account: AccountSettings) -> None:
    account.logging = OURS
    handler(event("Create"), None)
    handler(event("Delete"), None)
    assert outcome(event("Delete")) == "not-ours"
    assert account.logging == OURS


def test_creating_twice_still_remembers_the_earlier_setting(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    handler(event("Create"), None)
    handler(event("Delete"), None)
    assert account.logging == BEFORE


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_write_loses_nothing(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    account.logging = BEFORE
    write = InvocationLogging.write

    def dying(self: InvocationLogging, configuration: Configuration) -> None:
        if moment == "after":
            write(self, configuration)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(InvocationLogging, "write", dying)
        with pytest.raises(Crash):
            handler(event("Create"), None)
    assert account.logging == (OURS if moment == "after" else BEFORE)
    handler(event("Create"), None)
    assert account.logging == OURS
    handler(event("Delete"), None)
    assert account.logging == BEFORE


def test_a_crash_between_restoring_and_forgetting_loses_nothing(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)

    def dying(_self: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("bedrock_settings.parameter_records.ParameterRecords.delete", dying)
        with pytest.raises(Crash):
            handler(event("Delete"), None)
    handler(event("Delete"), None)
    assert account.logging == BEFORE
    assert outcome(event("Delete")) == "not-ours"


def test_a_failed_update_that_is_rolled_back_still_counts_as_ours(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.fail("PutModelInvocationLoggingConfiguration", "AccessDeniedException")
    with pytest.raises(SettingError):
        handler(event("Update", NEWER, old=OURS), None)
    handler(event("Update", OURS, old=NEWER), None)
    handler(event("Delete", OURS), None)
    assert account.logging == BEFORE


def test_a_failed_creation_leaves_no_record(
    account: AccountSettings, ssm: Any, parameter: str
) -> None:
    account.logging = BEFORE
    account.fail("PutModelInvocationLoggingConfiguration", "AccessDeniedException", "Not you.")
    with pytest.raises(SettingError, match=r"Not you\. Look for a service control policy"):
        handler(event("Create"), None)
    assert account.logging == BEFORE
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=parameter)


def test_a_second_stack_is_told_who_has_the_setting(
    account: AccountSettings, parameter: str
) -> None:
    handler(event("Create"), None)
    with pytest.raises(SettingError) as refusal:
        handler(event("Create", THEIRS, stack=OTHER_STACK), None)
    assert f"managed by InvocationLogging of {STACK}" in str(refusal.value)
    assert parameter in str(refusal.value)
    assert account.logging == OURS


def test_a_second_stack_cannot_give_back_what_is_not_its_own(account: AccountSettings) -> None:
    handler(event("Create"), None)
    assert outcome(event("Delete", stack=OTHER_STACK)) == "not-ours"
    assert account.logging == OURS


def test_a_lost_record_does_not_make_an_update_remember_its_own_setting(
    account: AccountSettings, ssm: Any, parameter: str
) -> None:
    handler(event("Create"), None)
    ssm.delete_parameter(Name=parameter)
    handler(event("Update", NEWER, old=OURS), None)
    handler(event("Delete", NEWER), None)
    assert account.logging is None


def test_throttling_is_tried_again(account: AccountSettings) -> None:
    account.fail("GetModelInvocationLoggingConfiguration", "ThrottlingException")
    handler(event("Create"), None)
    assert account.logging == OURS


def test_lasting_throttling_is_told(account: AccountSettings) -> None:
    account.fail("GetModelInvocationLoggingConfiguration", "ThrottlingException", times=2)
    with pytest.raises(SettingError, match="Wait some minutes and deploy again"):
        handler(event("Create"), None)


def test_a_role_that_is_not_known_yet_is_waited_for(account: AccountSettings) -> None:
    message = "Failed to validate permissions for log group: group, with role: role."
    account.fail("PutModelInvocationLoggingConfiguration", "ValidationException", message, times=3)
    handler(event("Create"), None)
    assert account.logging == OURS


def test_another_refusal_of_the_configuration_is_not_repeated(account: AccountSettings) -> None:
    account.fail("PutModelInvocationLoggingConfiguration", "ValidationException", "No such bucket")
    with pytest.raises(SettingError, match="No such bucket"):
        handler(event("Create"), None)
    assert account.calls.count("PutModelInvocationLoggingConfiguration") == 1


def test_an_earlier_setting_that_cannot_be_put_back_is_told(account: AccountSettings) -> None:
    account.logging = BEFORE
    handler(event("Create"), None)
    account.fail("PutModelInvocationLoggingConfiguration", "ValidationException", "No such bucket")
    with pytest.raises(SettingError, match="Set it as you want it to be, then delete again"):
        handler(event("Delete"), None)
    account.logging = None
    assert outcome(event("Delete")) == "left-to-others"


WITH_ROLE = {
    "cloudWatchConfig": {"logGroupName": "audit", "roleArn": "arn:aws:iam::111111111111:role/a"},
    "textDataDeliveryEnabled": True,
}


def test_a_setting_whose_role_may_not_be_passed_back_is_not_touched(
    account: AccountSettings,
) -> None:
    account.logging = WITH_ROLE
    with pytest.raises(SettingError, match=r"role/a.*restorable_roles"):
        handler(event("Create"), None)
    assert account.logging == WITH_ROLE


def test_a_setting_whose_role_may_be_passed_back_is_put_back(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORABLE_ROLES", "arn:aws:iam::111111111111:role/a")
    account.logging = WITH_ROLE
    handler(event("Create"), None)
    handler(event("Delete"), None)
    assert account.logging == WITH_ROLE


def test_the_retention_mode_is_set_and_put_back(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTING", "data-retention")
    account.mode = "default"
    handler(event("Create", {"mode": "none"}), None)
    assert account.mode == "none"
    handler(event("Delete", {"mode": "none"}), None)
    assert account.mode == "default"


def test_a_retention_mode_that_somebody_changed_stands(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTING", "data-retention")
    handler(event("Create", {"mode": "provider_data_share"}), None)
    account.mode = "none"
    assert outcome(event("Delete", {"mode": "provider_data_share"})) == "left-to-others"
    assert account.mode == "none"


def test_a_retention_mode_with_a_lost_record_becomes_a_new_accounts(
    account: AccountSettings, monkeypatch: pytest.MonkeyPatch, ssm: Any, parameter: str
) -> None:
    monkeypatch.setenv("SETTING", "data-retention")
    handler(event("Create", {"mode": "none"}), None)
    ssm.delete_parameter(Name=parameter)
    handler(event("Update", {"mode": "default"}, old={"mode": "none"}), None)
    handler(event("Delete", {"mode": "default"}), None)
    assert account.mode == "inherit"


def test_the_log_line_tells_what_became_of_the_setting(
    account: AccountSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(event("Create"), None)
    assert json.loads(capsys.readouterr().out) == {
        "setting": "invocation-logging",
        "request": "Create",
        "outcome": "written",
    }


def test_a_server_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", "http://127.0.0.1:9")
    with pytest.raises(SettingError, match="Bedrock could not be reached"):
        handler(event("Create"), None)


def test_every_missing_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTING", "logging")
    monkeypatch.delenv("RECORD_PARAMETER")
    with pytest.raises(SettingsError, match=r"SETTING is 'logging'.*RECORD_PARAMETER is ''"):
        handler(event("Create"), None)
