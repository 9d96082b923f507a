"""`ops capacity` against an AWS that speaks the wire protocols."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.capacity_block import CapacityBlock
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.training_plan import TrainingPlan
from ops.__main__ import app
from ops.capacity import command
from ops.capacity.confirmation import says_yes
from ops.capacity.offering import Offering, Source, amount
from tests.ops.aws_on_loopback import AwsOnLoopback, FaultError, Parameters
from tests.ops.ready_account import zone

ROOT = Path(__file__).parent.parent.parent
START = datetime(2027, 1, 11, 11, 30, tzinfo=UTC)
END = datetime(2027, 1, 18, 11, 30, tzinfo=UTC)
WEEK = ("--count", "4", "--hours", "168", "--env", "prod", "--earliest", "2027-01-01T00:00:00Z")
TRN2 = ("--instance-type", "trn2.48xlarge", *WEEK)
P5EN = ("--instance-type", "p5en.48xlarge", *WEEK)
ARN = "arn:aws:sagemaker:us-east-2:333333333333:training-plan/next-run"


@pytest.fixture
def aws(loopback: AwsOnLoopback) -> Iterator[AwsOnLoopback]:
    """An account in which two sellers have one offering each, and no reservations."""
    loopback.reset()
    plans = {"TrainingPlanOfferings": [plan()]}
    loopback.answer("sagemaker", "SearchTrainingPlanOfferings", plans)
    loopback.page(
        "ec2", "DescribeCapacityBlockOfferings", "CapacityBlockOfferings", [[block()]], "NextToken"
    )
    zones = [zone(f"us-east-2{letter}") for letter in "abc"]
    loopback.answer("ec2", "DescribeAvailabilityZones", {"AvailabilityZones": zones})
    loopback.answer("ec2", "DescribeInstanceTypeOfferings", offered)
    loopback.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": []})
    loopback.fail("sagemaker", "DescribeTrainingPlan", "ResourceNotFound")
    yield loopback
    assert loopback.surprises == []


def offered(parameters: Parameters) -> dict[str, Any]:
    """Return where EC2 has the types that were asked for: p5en in one zone, and nothing else."""
    where = {"LocationType": "availability-zone", "Location": "us-east-2b"}
    (asked,) = parameters["Filters"]
    names = {"p5en.48xlarge"} & set(asked["Values"])
    return {"InstanceTypeOfferings": [{"InstanceType": name, **where} for name in names]}


def plan(**changes: Any) -> dict[str, Any]:
    segment = {
        "InstanceType": "ml.trn2.48xlarge",
        "InstanceCount": 4,
        "AvailabilityZone": "us-east-2a",
        "StartTime": START,
        "EndTime": END,
    }
    return {
        "TrainingPlanOfferingId": "tpo-1",
        "TargetResources": ["hyperpod-cluster"],
        "DurationHours": 168,
        "UpfrontFee": "10752.00",
        "CurrencyCode": "USD",
        "ReservedCapacityOfferings": [segment],
        **changes,
    }


def block(**changes: Any) -> dict[str, Any]:
    return {
        "CapacityBlockOfferingId": "cbr-1",
        "InstanceType": "trn2.48xlarge",
        "AvailabilityZone": "us-east-2b",
        "InstanceCount": 4,
        "StartDate": START,
        "EndDate": END,
        "CapacityBlockDurationHours": 168,
        "UpfrontFee": "21504.0",
        "CurrencyCode": "USD",
        **changes,
    }


def reservation(**changes: Any) -> dict[str, Any]:
    return {
        "CapacityReservationId": "cr-0123456789abcdef0",
        "InstanceType": "trn2.48xlarge",
        "TotalInstanceCount": 4,
        "AvailabilityZone": "us-east-2b",
        "StartDate": START,
        "EndDate": END,
        "State": "scheduled",
        **changes,
    }


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["capacity", *arguments])


def compared(*arguments: str) -> dict[str, Any]:
    result = run("compare", *arguments, "--json")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_offerings_are_sorted_by_the_price_of_an_accelerator_hour(aws: AwsOnLoopback) -> None:
    document = compared(*TRN2)
    first, second = document["offerings"]
    # 4 nodes of 16 accelerators for 168 hours are 10,752 accelerator-hours.
    assert [first["source"], second["source"]] == ["training-plan", "capacity-block"]
    assert [Decimal(o["per_accelerator_hour"]) for o in (first, second)] == [1, 2]


def test_an_offering_says_zone_and_id_window_and_what_it_fits(aws: AwsOnLoopback) -> None:
    first, second = compared(*TRN2)["offerings"]
    assert (first["zone"], first["zone_id"]) == ("us-east-2a", "use2-az2")
    assert first["remark"] == "not in us-east-2b, the file's accelerator zone"
    assert first["fits"] == ["HyperPod"]
    assert second["fits"] == ["EKS nodes"]
    assert (second["start"], second["end"]) == (START.isoformat(), END.isoformat())
    assert second["remark"] == ""


def test_the_table_shows_every_offering(aws: AwsOnLoopback) -> None:
    result = run("compare", *TRN2)
    assert result.exit_code == 0
    for text in ("tpo-1", "10,752.00 USD", "1.0000 USD", "us-east-2a (use2-az2)", "cbr-1"):
        assert text in result.stdout


def test_sellers_are_asked_for_the_window_and_for_hyperpod(aws: AwsOnLoopback) -> None:
    compared(*TRN2, "--latest", "2027-02-01T00:00:00Z")
    (asked,) = aws.called("SearchTrainingPlanOfferings")
    assert asked["InstanceType"] == "ml.trn2.48xlarge"
    assert asked["TargetResources"] == ["hyperpod-cluster"]
    (asked,) = aws.called("DescribeCapacityBlockOfferings")
    assert asked["StartDateRange"].astimezone(UTC) == datetime(2027, 1, 1, tzinfo=UTC)
    assert asked["EndDateRange"].astimezone(UTC) == datetime(2027, 2, 1, tzinfo=UTC)


def test_every_page_of_blocks_is_read(aws: AwsOnLoopback) -> None:
    pages = [[block(CapacityBlockOfferingId=f"cbr-{n}")] for n in range(3)]
    aws.page("ec2", "DescribeCapacityBlockOfferings", "CapacityBlockOfferings", pages, "NextToken")
    ids = {offering["offering_id"] for offering in compared(*TRN2)["offerings"]}
    assert {"cbr-0", "cbr-1", "cbr-2"} <= ids


def test_a_plan_in_several_parts_is_told(aws: AwsOnLoopback) -> None:
    segment = plan()["ReservedCapacityOfferings"][0]
    later = {**segment, "AvailabilityZone": "us-east-2b"}
    parts = {"TrainingPlanOfferings": [plan(ReservedCapacityOfferings=[segment, later])]}
    aws.answer("sagemaker", "SearchTrainingPlanOfferings", parts)
    offering = compared(*TRN2)["offerings"][0]
    assert offering["zone"] is None
    assert offering["remark"] == "2 parts with gaps in us-east-2a, us-east-2b"


def test_only_zones_that_were_asked_for_are_shown(aws: AwsOnLoopback) -> None:
    document = compared(*TRN2, "--zone", "us-east-2b")
    assert [offering["source"] for offering in document["offerings"]] == ["capacity-block"]


def test_one_seller_that_refuses_does_not_silence_the_other(aws: AwsOnLoopback) -> None:
    aws.fail("sagemaker", "SearchTrainingPlanOfferings", "AccessDeniedException")
    document = compared(*TRN2)
    assert [offering["offering_id"] for offering in document["offerings"]] == ["cbr-1"]
    assert any("sagemaker:SearchTrainingPlanOfferings" in text for text in document["remarks"])


def test_nothing_to_buy_ends_in_sentences_and_a_failure(aws: AwsOnLoopback) -> None:
    aws.answer("sagemaker", "SearchTrainingPlanOfferings", {"TrainingPlanOfferings": []})
    aws.page("ec2", "DescribeCapacityBlockOfferings", "CapacityBlockOfferings", [[]], "NextToken")
    result = run("compare", *TRN2)
    assert result.exit_code == 1
    assert result.stderr.count("Widen the window") == 3


def test_sellers_that_never_have_a_type_are_not_asked(aws: AwsOnLoopback) -> None:
    result = run("compare", "--instance-type", "g6e.48xlarge", *WEEK)
    assert result.stderr.count("It is not sold for g6e.48xlarge.") == 2
    assert aws.called("SearchTrainingPlanOfferings") == []


def test_on_demand_reservations_cost_the_price_of_the_table(
    aws: AwsOnLoopback, tmp_path: Path
) -> None:
    table = tmp_path / "ours.toml"
    table.write_text(
        'recorded = 2026-11-01\n[[rates]]\nunit = "p5en.48xlarge-hour"\nusd = "50"\n'
        'regions = ["us-east-2"]\nsource = "our contract"\n'
    )
    offerings = compared(*P5EN, "--rates", str(table))["offerings"]
    (offering,) = [o for o in offerings if o["source"] == "on-demand"]
    assert Decimal(offering["total"]) == 50 * 4 * 168
    assert Decimal(offering["per_accelerator_hour"]) == Decimal("6.25")


def test_the_price_list_is_asked_for_what_no_table_has(aws: AwsOnLoopback) -> None:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": "63.296"}}
    product = {
        "publicationDate": "2026-11-20T00:00:00Z",
        "terms": {"OnDemand": {"term": {"priceDimensions": {"rate": dimension}}}},
    }
    aws.page("pricing", "GetProducts", "PriceList", [[json.dumps(product)], []], "NextToken")
    offerings = compared(*P5EN, "--live")["offerings"]
    (offering,) = [o for o in offerings if o["source"] == "on-demand"]
    assert Decimal(offering["total"]) == Decimal("63.296") * 4 * 168
    filters = {f["Field"]: f["Value"] for f in aws.called("GetProducts")[0]["Filters"]}
    assert filters["instanceType"] == "p5en.48xlarge"
    assert filters["regionCode"] == "us-east-2"


def test_without_a_price_an_offering_comes_last_and_says_so(aws: AwsOnLoopback) -> None:
    last = compared(*P5EN)["offerings"][-1]
    assert last["total"] is None
    assert "price unknown" in last["remark"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--instance-type", "p9.48xlarge", *WEEK), "has no such family"),
        (("--instance-type", "m7g.large", *WEEK), "has no accelerator"),
        ((*TRN2, "--zone", "eu-west-1a"), "does not lie in us-east-2"),
        ((*TRN2, "--latest", "2027-01-02T00:00:00Z"), "168 hours do not fit"),
        ((*TRN2, "--latest", "tomorrow"), "It is no time"),
        ((*TRN2, "--latest", "2027-02-01T00:00:00"), "no UTC offset"),
        ((*TRN2, "--count", "0"), "Nothing would be bought"),
    ],
)
def test_what_nobody_could_answer_is_refused_before_anybody_is_asked(
    aws: AwsOnLoopback, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run("compare", *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert aws.calls == []


def test_hours_that_are_no_days_leave_blocks_out_with_the_next_that_are(
    aws: AwsOnLoopback,
) -> None:
    document = compared(*TRN2, "--hours", "100")
    assert "capacity-block: Blocks are sold by the day. Ask for 120 hours." in document["remarks"]
    assert aws.called("DescribeCapacityBlockOfferings") == []


FREE = {"State": "active", "AvailableInstanceCount": 4, "InstanceType": "p5en.48xlarge"}


def owned_ids(aws: AwsOnLoopback, **changes: Any) -> list[str]:
    found = {"CapacityReservations": [reservation(**{**FREE, **changes})]}
    aws.answer("ec2", "DescribeCapacityReservations", found)
    return [o["offering_id"] for o in compared(*P5EN)["offerings"] if o["owned"]]


def test_what_the_account_has_and_does_not_use_comes_first_and_costs_nothing(
    aws: AwsOnLoopback,
) -> None:
    assert owned_ids(aws) == ["cr-0123456789abcdef0"]
    first = compared(*P5EN)["offerings"][0]
    assert (first["source"], first["total"]) == ("on-demand", "0")
    assert first["remark"] == "the account pays for it already; 4 of 4 are free"


@pytest.mark.parametrize(
    "changes",
    [
        {"AvailableInstanceCount": 3},
        {"EndDate": datetime(2027, 1, 15, tzinfo=UTC)},
    ],
)
def test_a_reservation_without_room_for_all_or_long_enough_is_left_out(
    aws: AwsOnLoopback, changes: dict[str, Any]
) -> None:
    assert owned_ids(aws, **changes) == []


def test_a_reservation_that_has_not_begun_is_free_and_one_without_an_end_lasts(
    aws: AwsOnLoopback,
) -> None:
    assert owned_ids(aws, State="scheduled", AvailableInstanceCount=0) != []
    unlimited = {key: value for key, value in reservation(**FREE).items() if key != "EndDate"}
    aws.answer("ec2", "DescribeCapacityReservations", {"CapacityReservations": [unlimited]})
    assert any(offering["owned"] for offering in compared(*P5EN)["offerings"])


BLOCK = ("--source", "capacity-block", "--offering", "cbr-1", "--name", "next-run")
PLAN = ("--source", "training-plan", "--offering", "tpo-1", "--name", "next-run")


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person at a terminal; what is typed is the runner's input."""
    monkeypatch.setattr(command, "has_terminal", lambda: True)


def buy(*arguments: str, typed: str = "cbr-1") -> Result:
    return CliRunner().invoke(app, ["capacity", "buy", *TRN2, *arguments], input=f"{typed}\n")


def purchases(aws: AwsOnLoopback) -> list[dict[str, Any]]:
    made = aws.called("PurchaseCapacityBlock") + aws.called("CreateCapacityReservation")
    real = [parameters for parameters in made if not parameters.get("DryRun")]
    return real + aws.called("CreateTrainingPlan")


def sell_blocks(aws: AwsOnLoopback) -> None:
    def sold(parameters: Parameters) -> dict[str, Any]:
        if parameters.get("DryRun"):
            raise FaultError("DryRunOperation", status=412)
        return {"CapacityReservation": reservation()}

    aws.answer("ec2", "PurchaseCapacityBlock", sold)


def test_nothing_is_bought_without_a_terminal(aws: AwsOnLoopback) -> None:
    sell_blocks(aws)
    result = buy(*BLOCK)
    assert result.exit_code == 1
    assert "a person at a terminal" in result.stderr
    assert aws.calls == []


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("typed", ["", "y", "yes", "cbr-2", "21504.01", "21,504.0"])
def test_nothing_is_bought_unless_id_or_price_are_typed(aws: AwsOnLoopback, typed: str) -> None:
    sell_blocks(aws)
    result = buy(*BLOCK, typed=typed)
    assert result.exit_code == 1
    assert "Nothing was bought." in result.stderr
    assert purchases(aws) == []


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("typed", ["cbr-1", "21504.0", "21504"])
def test_a_block_is_bought_once_the_id_or_price_is_typed(aws: AwsOnLoopback, typed: str) -> None:
    sell_blocks(aws)
    result = buy(*BLOCK, typed=typed)
    assert result.exit_code == 0, result.output
    (bought,) = purchases(aws)
    tags = bought["TagSpecifications"][0]["Tags"]
    assert {"Key": "llm-platform:purchase", "Value": "next-run"} in tags
    assert "cr-0123456789abcdef0" in result.stdout


@pytest.mark.usefixtures("person")
def test_the_printed_lines_are_a_node_group_of_the_file(aws: AwsOnLoopback) -> None:
    sell_blocks(aws)
    result = buy(*BLOCK)
    printed = result.stdout[result.stdout.index("[[eks.groups]]") :]
    (table,) = tomllib.loads(printed)["eks"]["groups"]
    window = table.pop("capacity_block")
    written = CapacityBlock(
        reservation_id=window["reservation_id"],
        start=datetime.fromisoformat(window["start"]),
        end=datetime.fromisoformat(window["end"]),
    )
    group = ReservedNodeGroup(**table, capacity_block=written)
    assert (group.nodes, group.zone, group.instance_type) == (4, "us-east-2b", "trn2.48xlarge")
    assert (written.start, written.end) == (START, END)
    assert group.ami_release == "1.36.3-20260903"


@pytest.mark.usefixtures("person")
def test_ec2_is_asked_in_a_dry_run_first(aws: AwsOnLoopback) -> None:
    aws.fail("ec2", "PurchaseCapacityBlock", "UnauthorizedOperation")
    result = buy(*BLOCK)
    assert result.exit_code == 1
    assert "ec2:PurchaseCapacityBlock" in result.stderr
    assert [call.get("DryRun") for call in aws.called("PurchaseCapacityBlock")] == [True]


@pytest.mark.usefixtures("person")
def test_what_has_the_name_already_is_not_bought_again(aws: AwsOnLoopback) -> None:
    sell_blocks(aws)
    found = {"CapacityReservations": [reservation()]}
    aws.answer("ec2", "DescribeCapacityReservations", found)
    result = buy(*BLOCK)
    assert result.exit_code == 0
    assert "nothing was bought" in result.stderr
    assert 'reservation_id = "cr-0123456789abcdef0"' in result.stdout
    assert purchases(aws) == []
    (asked,) = aws.called("DescribeCapacityReservations")
    assert asked["Filters"][0] == {"Name": "tag:llm-platform:purchase", "Values": ["next-run"]}


@pytest.mark.usefixtures("person")
def test_an_offering_that_is_gone_is_not_bought(aws: AwsOnLoopback) -> None:
    sell_blocks(aws)
    result = buy("--source", "capacity-block", "--offering", "cbr-9", "--name", "next-run")
    assert result.exit_code == 1
    assert "cbr-9 is not offered" in result.stderr
    assert purchases(aws) == []


@pytest.mark.usefixtures("person")
def test_a_training_plan_is_bought_by_its_name(aws: AwsOnLoopback) -> None:
    aws.answer("sagemaker", "CreateTrainingPlan", {"TrainingPlanArn": ARN})
    result = buy(*PLAN, typed="10752.00")
    assert result.exit_code == 0, result.output
    (bought,) = purchases(aws)
    assert bought["TrainingPlanName"] == "next-run"
    printed = result.stdout[result.stdout.index("# In the group") :]
    table = tomllib.loads(printed)["training"]["groups"]["training_plan"]
    times = {name: datetime.fromisoformat(table.pop(name)) for name in ("start", "end")}
    written = TrainingPlan(**table, start=times["start"], end=times["end"])
    assert (written.arn, written.zone, written.nodes) == (ARN, "us-east-2a", 4)
    assert (written.start, written.end) == (START, END)


def owned(status: str) -> dict[str, Any]:
    return {
        "TrainingPlanArn": ARN,
        "TrainingPlanName": "next-run",
        "Status": status,
        "StartTime": START,
        "EndTime": END,
        "TotalInstanceCount": 4,
    }


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize(("status", "code"), [("Scheduled", 0), ("Expired", 1), ("Failed", 1)])
def test_a_plan_of_the_name_is_told_with_its_lines_while_it_lives(
    aws: AwsOnLoopback, status: str, code: int
) -> None:
    aws.answer("sagemaker", "DescribeTrainingPlan", owned(status))
    result = buy(*PLAN, typed="tpo-1")
    assert result.exit_code == code
    assert (f'arn = "{ARN}"' in result.stdout) is (code == 0)
    assert purchases(aws) == []


@pytest.mark.usefixtures("person")
def test_a_lost_answer_is_not_repeated_and_says_what_to_do(
    aws: AwsOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")

    def lost(parameters: Parameters) -> dict[str, Any]:
        if parameters.get("DryRun"):
            raise FaultError("DryRunOperation", status=412)
        raise FaultError("InternalError", status=500)

    aws.answer("ec2", "PurchaseCapacityBlock", lost)
    result = buy(*BLOCK)
    assert result.exit_code == 1
    assert len(purchases(aws)) == 1
    assert "It is not known whether cbr-1 was bought." in result.stderr
    assert "Run the same command again" in result.stderr


@pytest.mark.usefixtures("person")
def test_a_reservation_on_demand_ends_and_names_its_launches(
    aws: AwsOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(parameters: Parameters) -> dict[str, Any]:
        if parameters.get("DryRun"):
            raise FaultError("DryRunOperation", status=412)
        return {"CapacityReservation": reservation(InstanceType="p5en.48xlarge")}

    aws.answer("ec2", "CreateCapacityReservation", made)
    offering = "4-p5en.48xlarge-us-east-2b-168h"
    arguments = ("--source", "on-demand", "--offering", offering, "--name", "next-run")
    result = CliRunner().invoke(app, ["capacity", "buy", *P5EN, *arguments], input=f"{offering}\n")
    assert result.exit_code == 0, result.output
    (bought,) = purchases(aws)
    assert (bought["InstanceMatchCriteria"], bought["EndDateType"]) == ("targeted", "limited")
    assert bought["ClientToken"] == "next-run"
    assert 'reservation_ids = ["cr-0123456789abcdef0"]' in result.stdout


@pytest.mark.usefixtures("person")
def test_what_the_account_has_is_not_for_sale(aws: AwsOnLoopback) -> None:
    def described(parameters: Parameters) -> dict[str, Any]:
        by_tag = any(f["Name"].startswith("tag:") for f in parameters["Filters"])
        return {"CapacityReservations": [] if by_tag else [reservation(**FREE)]}

    aws.answer("ec2", "DescribeCapacityReservations", described)
    own = ("--source", "on-demand", "--offering", "cr-0123456789abcdef0", "--name", "next-run")
    result = CliRunner().invoke(app, ["capacity", "buy", *P5EN, *own], input="0\n")
    assert result.exit_code == 1
    assert "name it in the file" in result.stderr
    assert purchases(aws) == []


def test_a_name_that_no_file_takes_is_refused(aws: AwsOnLoopback) -> None:
    result = buy("--source", "capacity-block", "--offering", "cbr-1", "--name", "Next Run!")
    assert result.exit_code == 1
    assert "lower-case letters" in result.stderr
    assert aws.calls == []


@pytest.mark.slow
def test_a_person_at_a_real_terminal_buys_by_typing_the_id(aws: AwsOnLoopback) -> None:
    sell_blocks(aws)
    controller, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", "capacity", "buy", *TRN2, *BLOCK],
            cwd=ROOT,
            env={**os.environ, **aws.environment},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(controller, b"cbr-1\n")
        output, errors = process.communicate(timeout=600)
    finally:
        os.close(controller)
        os.close(terminal)
    assert process.returncode == 0, errors
    assert 'reservation_id = "cr-0123456789abcdef0"' in output
    assert len(purchases(aws)) == 1


def offering(total: Decimal | None, hours: int = 24, count: int = 1) -> Offering:
    return Offering(
        source=Source.CAPACITY_BLOCK,
        offering_id="cbr-1",
        row=INSTANCE_TYPES["p5.48xlarge"],
        count=count,
        zone=None,
        start=None,
        end=None,
        hours=Decimal(hours),
        total=total,
    )


@given(
    st.decimals(min_value=0, max_value=10**7, places=2), st.integers(1, 4368), st.integers(1, 64)
)
def test_the_price_of_an_accelerator_hour_times_all_of_them_is_the_total(
    total: Decimal, hours: int, count: int
) -> None:
    price = offering(total, hours, count).per_accelerator_hour
    assert price is not None
    assert abs(price * 8 * hours * count - total) < Decimal("1e-12")


@given(st.text())
def test_no_text_but_id_and_price_is_a_yes(text: str) -> None:
    if says_yes(text, offering(Decimal("1234.50"))):
        stripped = text.strip()
        assert stripped == "cbr-1" or Decimal(stripped) == Decimal("1234.50")
    assert not says_yes(text, offering(None)) or text.strip() == "cbr-1"


@pytest.mark.parametrize("text", [None, "", "free", "NaN", "Infinity"])
def test_a_fee_that_is_no_number_is_unknown(text: str | None) -> None:
    assert amount(text) is None
