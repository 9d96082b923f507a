"""The pipeline in the environments: who hands it what, and who watches it."""

import json

import pytest

from tests.assembly import Assembly

pytestmark = pytest.mark.synth


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_jobs_reach_the_lake_of_their_environment(environment: str, assembly: Assembly) -> None:
    resources = assembly.templates[f"llm-{environment}-curation"]["Resources"].values()
    definitions = [it for it in resources if it["Type"] == "AWS::Batch::JobDefinition"]
    assert len(definitions) == 5
    for it in definitions:
        variables = json.dumps(it["Properties"]["ContainerProperties"]["Environment"])
        assert f'"StackName": "llm-{environment}-data"' in variables


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_network_has_the_endpoints_of_batch(environment: str, assembly: Assembly) -> None:
    resources = assembly.templates[f"llm-{environment}-network"]["Resources"].values()
    services = {
        json.dumps(it["Properties"]["ServiceName"])
        for it in resources
        if it["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert any(".batch" in service for service in services)
    assert any(".ecs-agent" in service for service in services)


def test_a_failed_run_of_production_tells_somebody(assembly: Assembly) -> None:
    resources = assembly.templates["llm-prod-observability"]["Resources"].values()
    alarms = [it["Properties"] for it in resources if it["Type"] == "AWS::CloudWatch::Alarm"]
    told = [it for it in alarms if "curation-failed.md" in it.get("AlarmDescription", "")]
    # The failed execution, and the schedule that could not start one.
    assert len(told) == 2
