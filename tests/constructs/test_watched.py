"""What constructs describe is found wherever they stand, and wrong descriptions are refused."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.watched import watched
from tests.constructs.synthesis import app
from tests.constructs.watched_things import Thing, alarm, metric, query, signal


@pytest.fixture(scope="module")
def stack() -> cdk.Stack:
    return cdk.Stack(app(), "Layer")


def test_described_things_are_found_however_deep_they_stand(stack: cdk.Stack) -> None:
    inner = Construct(Construct(stack, "Outer"), "In-ner")
    Thing(inner, "Thing", alarms=[alarm()], signals=[signal()], queries=[query(inner)])
    Construct(stack, "Silent")

    layer = watched("layer", stack)

    assert layer.name == "layer"
    (found,) = layer.constructs
    assert found.name == "OuterInnerThing"
    assert [it.name for it in found.alarms] == ["ThingFails"]
    assert [it.title for it in found.signals] == ["Errors"]
    assert [it.name for it in found.queries] == ["slow things"]


def test_attributes_of_the_same_name_that_hold_other_things_are_left_alone() -> None:
    class Stranger(Construct):
        alarms = ("a string", 3)
        signals = 7

    other = cdk.Stack(app(), "Other")
    Stranger(other, "Stranger")
    assert watched("other", other).constructs == ()


def test_a_graph_without_metrics_is_refused() -> None:
    with pytest.raises(SpecificationError, match="signal Empty: metrics"):
        signal("Empty", metrics=())


def test_a_graph_has_one_line_at_most() -> None:
    with pytest.raises(SpecificationError, match="that of the alarm ThingFails already"):
        signal(threshold=3, alarm="ThingFails")


def test_a_query_needs_statements_and_a_table_needs_a_section(stack: cdk.Stack) -> None:
    with pytest.raises(SpecificationError) as caught:
        query(Construct(stack, "Wrong"), statements=(), audience=Audience.COST)
    assert len(caught.value.problems) == 2


def test_the_commands_of_a_query_are_piped(stack: cdk.Stack) -> None:
    assert query(Construct(stack, "Right")).text == "fields @message\n| limit 5"


def test_another_treatment_of_missing_data_needs_a_reason_of_its_own() -> None:
    with pytest.raises(SpecificationError, match="missing_data_reason"):
        AlarmDescription(
            name="ThingFails",
            summary="The thing fails.",
            metric=metric(),
            threshold=1,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            severity=Severity.PAGE,
            runbook="gateway-server-errors",
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        )
