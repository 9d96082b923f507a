"""Each function's calls against its own role: all are allowed, and nothing else is.

The functions run with the environment variables of the synthesised templates, so that the names
they use are those that their roles know.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.session
import httpx2 as httpx
import pytest

from authorizer import handler as authorizer
from bedrock_settings.handler import handler as change_setting
from gateway.governance.administration import Administration, NewKey, Team
from gateway.governance.request_context import CONTEXT_HEADER
from gateway.governance.versioned_secret import VersionedSecret
from gateway.runtime import create_application
from gateway.settings import Settings
from llm_constructs.bedrock_setting import setting_code
from llm_constructs.data_retention import DataRetention
from llm_constructs.invocation_logging import InvocationLogging
from llm_constructs.specs.data_retention import RetentionMode
from llm_constructs.specs.invocation_logging import InvocationLogs, LogDestination
from ops.fake_bedrock.reply import Reply
from ops.fake_bedrock.server import FakeBedrock
from ops.permissions import audit
from ops.permissions.statement import statements
from task_governance.handler import handler as change_governance
from tests.assembly import Assembly
from tests.constructs.synthesis import synthesised
from tests.constructs.test_task_governance import governance_in
from tests.fake_vllm import FakeVllm, refusal
from tests.lambdas.authorizer.test_authorizer_handler import bearer, event
from tests.lambdas.gateway.stack import PATIENCE_SECONDS
from tests.lambdas.governance.emulator import Emulator, running_emulator
from tests.lambdas.task_governance.test_task_governance_handler import (
    SageMaker,
    arn,
)
from tests.lambdas.task_governance.test_task_governance_handler import event as governance_event
from tests.permissions.calls import Account, recorder
from tests.permissions.role import (
    FunctionRole,
    Request,
    resolution_of,
    resolution_of_template,
    wildcard,
)

ENVIRONMENTS = ("dev", "staging", "prod")
LAMBDAS = Path(__file__).parents[2] / "lambdas"
SERVER_KEY = "the-key-of-a-model-server"
ROLE_OF_A_WORKLOAD = "arn:aws:iam::111111111111:role/batch"

Grants = Mapping[str, str]

LAMBDAS_OWN: Grants = {
    "logs:CreateLogStream": "Lambda writes what the function prints.",
    "logs:PutLogEvents": "Lambda writes what the function prints.",
}
IN_A_VPC: Grants = {
    **{
        f"ec2:{name}": "Lambda attaches the function to its subnets; the code is denied it."
        for name in (
            *("AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface"),
            *("DescribeNetworkInterfaces", "DescribeSubnets", "UnassignPrivateIpAddresses"),
        )
    },
    "xray:PutTelemetryRecords": "Lambda's own daemon sends the traces.",
    "xray:PutTraceSegments": "Lambda's own daemon sends the traces.",
}
READING_SECRETS: Grants = {
    "kms:Decrypt": "Secrets Manager and DynamoDB ask KMS in the caller's name.",
    "secretsmanager:DescribeSecret": "The CDK's grant_read adds it; it tells no value.",
}
WRITING_TABLES: Grants = {
    f"kms:{name}": "DynamoDB asks KMS in the caller's name, for a table with the account's key."
    for name in ("Encrypt", "GenerateDataKey*", "ReEncrypt*")
}


def judge(role: FunctionRole, requests: list[Request], grants: Grants) -> None:
    """Assert that all requests are allowed, that nothing else is, and that no reason is idle."""
    assert requests
    assert [each for each in requests if not role.allows(each)] == []
    assert role.unused(requests) - set(grants) == set()
    asked = {each.action for each in requests}
    assert set(grants) <= role.granted()
    assert not any(wildcard(name, action) for name in grants for action in asked)


def account_of(role: FunctionRole) -> Account:
    stack = role.resolution.stacks[role.stack]
    return Account(stack.account, stack.region, stack.partition)


def credentials(region: str, **endpoints: str) -> dict[str, str]:
    urls = {f"AWS_ENDPOINT_URL_{name}": url for name, url in endpoints.items()}
    known = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    return {**known, **urls, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


def catalogue(assembly: Assembly, stack: str) -> Path:
    """Return the file of models that the function's layer holds."""
    layers = json.dumps(assembly.templates[stack])
    (found,) = [
        file
        for file in assembly.directory.glob("asset.*/gateway/models.json")
        if file.parents[1].name.removeprefix("asset.") in layers
    ]
    return found


def from_api_gateway(**identity: str) -> dict[str, str]:
    """Return the header with which API Gateway tells who calls."""
    if "userArn" in identity:
        return {CONTEXT_HEADER: json.dumps({"identity": identity})}
    return {CONTEXT_HEADER: json.dumps({"authorizer": identity})}


SOMEBODY = from_api_gateway(key_id="abc", team="search", models="*", redaction="redacted")
WORKLOAD = from_api_gateway(userArn="arn:aws:sts::111111111111:assumed-role/batch/session")


def use_everything(
    client: httpx.Client, models: Mapping[str, Any], fail: Callable[[str], None]
) -> None:
    """Send a request of each kind, to each model; ``fail`` lets the next call of an alias fail."""
    for alias, model in models.items():
        if model["kind"] == "embedding":
            send(client, "/v1/embeddings", {"model": alias, "input": "x"})
            continue
        hello = {"model": alias, "messages": [{"role": "user", "content": "Hello"}]}
        for stream in (False, True):
            send(client, CHAT, {**hello, "stream": stream})
        # Kept and repeated; then failed, which takes the key back.
        for _ in range(2):
            send(client, CHAT, hello, once=f"{alias}-kept")
        fail(alias)
        send(client, CHAT, hello, once=f"{alias}-lost", status=400)
    for page, headers in (("/v1/usage", {}), ("/v1/models", WORKLOAD)):
        answer = client.get(page, headers=headers)
        assert answer.status_code == 200, answer.text


CHAT = "/v1/chat/completions"


def send(client: httpx.Client, path: str, body: Any, *, once: str = "", status: int = 200) -> None:
    answer = client.post(path, json=body, headers={"Idempotency-Key": once} if once else {})
    assert answer.status_code == status, answer.text


class TestGateway:
    """The function behind API Gateway, with the models and names of each environment."""

    @pytest.fixture(params=ENVIRONMENTS)
    def role(self, request: pytest.FixtureRequest, assembly: Assembly) -> FunctionRole:
        stack = f"llm-{request.param}-gateway"
        return FunctionRole(resolution_of(assembly), stack, "gateway/run.sh")

    @pytest.fixture
    def requests(self, role: FunctionRole, assembly: Assembly, emulator: Emulator) -> list[Request]:
        account = account_of(role)
        models = json.loads(catalogue(assembly, role.stack).read_text())
        told = role.variables
        make_tables(emulator, told)
        make_server_keys(emulator, told["GATEWAY_SERVER_KEYS"])
        with ExitStack() as servers, recorder() as calls, FakeBedrock() as bedrock:
            served = {
                alias: servers.enter_context(FakeVllm(model["model_id"], SERVER_KEY))
                for alias, model in models.items()
                if "base_url" in model
            }
            for alias, server in served.items():
                models[alias]["base_url"] = server.base_url
            told["GATEWAY_MODELS"] = json.dumps(models)

            def fail(alias: str) -> None:
                if alias in served:
                    served[alias].script(refusal(400, "no"))
                else:
                    bedrock.script(Reply(error={"code": "ValidationException", "message": ""}))

            endpoints = {
                "BEDROCK_RUNTIME": bedrock.endpoint_url,
                "DYNAMODB": emulator.url,
                "SECRETS_MANAGER": emulator.url,
            }
            with (
                mock.patch.dict(os.environ, {**credentials(REGION, **endpoints), **told}),
                # As in tests/lambdas/gateway/stack.py: no attempt is made again.
                mock.patch("gateway.runtime.GOVERNANCE_TIMEOUT_SECONDS", PATIENCE_SECONDS),
            ):
                application = create_application(Settings.read(os.environ))
                transport = httpx.WSGITransport(application)
                with (
                    calls.recording(),
                    httpx.Client(
                        transport=transport, base_url="http://gateway", headers=SOMEBODY
                    ) as client,
                ):
                    use_everything(client, models, fail)
            assert served
            assert all(server.calls for server in served.values())
        return [request for call in calls.calls for request in account.requests(call)]

    def test_all_its_calls_are_allowed_and_nothing_else_is(
        self, role: FunctionRole, requests: list[Request]
    ) -> None:
        judge(role, requests, {**LAMBDAS_OWN, **IN_A_VPC, **READING_SECRETS, **WRITING_TABLES})

    def test_every_model_that_may_be_called_is_one_that_is_offered(
        self, role: FunctionRole, requests: list[Request]
    ) -> None:
        # To which regions a profile sends a call is Bedrock's to decide, not this function's.
        here = f":{account_of(role).region}:"
        models = {each for each in role.untouched(requests) if ":bedrock:" in each and here in each}
        assert models == set()

    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("dynamodb:PutItem", "table/{GATEWAY_DIRECTORY_TABLE}"),
            ("dynamodb:Scan", "table/{GATEWAY_LEDGER_TABLE}"),
            ("dynamodb:DeleteTable", "table/{GATEWAY_LEDGER_TABLE}"),
        ],
    )
    def test_it_may_not_change_who_may_call(
        self, role: FunctionRole, action: str, resource: str
    ) -> None:
        arn = account_of(role).arn("dynamodb", resource.format(**role.variables))
        assert not role.allows(Request(action, arn))

    def test_no_model_is_called_without_the_guardrail(self, role: FunctionRole) -> None:
        (profile, *_) = [
            resource
            for each in role.statements
            for resource in each.resources
            if ":inference-profile/" in resource
        ]
        assert not role.allows(Request("bedrock:InvokeModel", profile))


REGION = "eu-central-1"
"""Of the emulator. Requests to it carry the templates' names, whatever the region."""


def make_tables(emulator: Emulator, told: Mapping[str, str]) -> None:
    """Make what the templates make, under the same names, and the team and role that call."""
    directory = told.get("GATEWAY_DIRECTORY_TABLE") or told["DIRECTORY_TABLE"]
    secret = told.get("GATEWAY_PSEUDONYM_SECRET") or told["PEPPER_SECRET"]
    client = emulator.dynamodb()
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    emulator.make_directory_table(directory)
    if "GATEWAY_LEDGER_TABLE" in told:
        emulator.make_ledger_table(told["GATEWAY_LEDGER_TABLE"])
    name = secret.rsplit(":", 1)[1]
    secrets = emulator.secrets_manager()
    if name not in {each["Name"] for each in secrets.list_secrets()["SecretList"]}:
        emulator.make_pepper(name=name)
    administration = administration_of(emulator, directory, name)
    administration.put_team(Team("search"))
    administration.register_role(ROLE_OF_A_WORKLOAD, "search")


def make_server_keys(emulator: Emulator, keys: str) -> None:
    """Make the secrets with the model servers' keys."""
    secrets = emulator.secrets_manager()
    known = {each["Name"] for each in secrets.list_secrets()["SecretList"]}
    for pair in keys.split(","):
        name = pair.partition("=")[2].rsplit(":", 1)[-1]
        if name not in known:
            emulator.make_secret(SERVER_KEY, name)


def administration_of(emulator: Emulator, table: str, secret: str) -> Administration:
    peppers = VersionedSecret(emulator.secrets_manager(), secret)
    return Administration(emulator.dynamodb(), table, peppers)


class TestAuthorizer:
    """The function that API Gateway asks who calls."""

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_all_its_calls_are_allowed_and_nothing_else_is(
        self, environment: str, assembly: Assembly, emulator: Emulator
    ) -> None:
        role = FunctionRole(
            resolution_of(assembly), f"llm-{environment}-gateway", "authorizer.handler.handler"
        )
        told = role.variables
        make_tables(emulator, told)
        name = told["PEPPER_SECRET"].rsplit(":", 1)[1]
        key = administration_of(emulator, told["DIRECTORY_TABLE"], name).create_key(
            NewKey("search")
        )
        endpoints = {"DYNAMODB": emulator.url, "SECRETS_MANAGER": emulator.url}
        with (
            recorder() as calls,
            mock.patch.dict(os.environ, {**credentials(REGION, **endpoints), **told}),
        ):
            authorizer._authorizer.cache_clear()
            with calls.recording():
                answer = authorizer.handler(event(bearer(key)), None)
            authorizer._authorizer.cache_clear()
        assert answer["principalId"] == key.key_id
        account = account_of(role)
        requests = [request for call in calls.calls for request in account.requests(call)]
        judge(role, requests, {**LAMBDAS_OWN, **IN_A_VPC, **READING_SECRETS})


class TestBedrockSettings:
    """The function that changes settings of the account during deployments."""

    @pytest.mark.parametrize("setting", ["logging", "retention"])
    def test_all_its_calls_are_allowed_and_nothing_else_is(
        self, setting: str, emulator: Emulator
    ) -> None:
        template = synthesised(BUILDERS[setting])
        setting_made = template.only("Custom::BedrockSetting")
        resolution = resolution_of_template(template)
        role = FunctionRole(resolution, "llm-test-gateway", "bedrock_settings.handler.handler")
        wanted = resolution.text(setting_made["Configuration"], role.stack)
        happening = {
            "StackId": "stack/1",
            "LogicalResourceId": "Setting",
            "ResourceProperties": {"Configuration": wanted},
            "OldResourceProperties": {"Configuration": wanted},
        }
        with recorder() as calls, FakeBedrock() as bedrock:
            endpoints = {"BEDROCK": bedrock.endpoint_url, "SSM": emulator.url}
            with (
                mock.patch.dict(os.environ, {**credentials(REGION, **endpoints), **role.variables}),
                mock.patch("bedrock_settings.handler._session", botocore_session),
                calls.recording(),
            ):
                for kind_of_change in ("Create", "Update", "Delete"):
                    change_setting({**happening, "RequestType": kind_of_change}, None)
        account = account_of(role)
        requests = [request for call in calls.calls for request in account.requests(call)]
        assert list(audit.problems(statements(resolution))) == []
        passed = {"iam:PassRole": "Bedrock checks it on the role that the configuration names."}
        judge(role, requests, {**LAMBDAS_OWN, **(passed if setting == "logging" else {})})


class TestTaskGovernance:
    """The function that makes policies and quotas where CloudFormation cannot."""

    def test_all_its_calls_are_allowed_and_nothing_else_is(self) -> None:
        template = governance_in("ap-south-2")
        wanted = {
            made["Kind"]: json.loads(made["Configuration"])
            for made in template.properties("Custom::HyperPodGovernance")
        }
        resolution = resolution_of_template(template, region="ap-south-2")
        role = FunctionRole(resolution, "llm-test-gateway", "task_governance.handler.handler")
        with (
            recorder() as calls,
            mock.patch.dict(os.environ, credentials("ap-south-2")),
            mock.patch("task_governance.handler.PAUSES_SECONDS", (0, 0)),
        ):
            client = botocore.session.get_session().create_client("sagemaker")
            with (
                mock.patch("task_governance.handler._client", return_value=client),
                SageMaker(client) as sagemaker,
                calls.recording(),
            ):
                for kind, configuration in wanted.items():
                    live_through(sagemaker, kind, configuration)
        account = account_of(role)
        requests = [request for call in calls.calls for request in account.requests(call)]
        judge(role, requests, {**LAMBDAS_OWN, **OF_SAGEMAKER})
        assert list(audit.problems(statements(resolution))) == []


def live_through(sagemaker: SageMaker, kind: str, wanted: Any) -> None:
    """Make, change and delete an object."""
    sagemaker.made(kind)
    sagemaker.tells(kind, "Created")
    change_governance(governance_event("Create", kind, wanted), None)
    sagemaker.tells(kind, "Created")
    sagemaker.expect("update", kind, None, {f"{kind}Arn": arn(kind), f"{kind}Version": 2})
    sagemaker.tells(kind, "Updated", version=2)
    change_governance(governance_event("Update", kind, wanted, wanted), None)
    sagemaker.expect("delete", kind)
    sagemaker.refuse("describe", kind, "ResourceNotFound")
    change_governance(governance_event("Delete", kind, wanted), None)


OF_SAGEMAKER: Grants = dict.fromkeys(
    (
        *("eks:AssociateAccessPolicy", "eks:DescribeAccessEntry", "eks:DescribeCluster"),
        *("eks:DisassociateAccessPolicy", "eks:ListAssociatedAccessPolicies"),
        "sagemaker:DescribeCluster",
    ),
    "SageMaker asks for it in the caller's name, as its schemas in CloudFormation list it.",
)


def botocore_session() -> botocore.session.Session:
    """Return a session of this test, for the function keeps one for its whole life."""
    session = botocore.session.get_session()
    session.set_config_variable("data_path", str(LAMBDAS / "bedrock_settings" / "models"))
    return session


BUILDERS: Mapping[str, Any] = {
    "logging": lambda stack: InvocationLogging(
        stack,
        "Logging",
        code=setting_code(LAMBDAS),
        logs=InvocationLogs(destinations=frozenset(LogDestination)),
    ),
    "retention": lambda stack: DataRetention(
        stack, "Retention", code=setting_code(LAMBDAS), mode=RetentionMode.NONE
    ),
}


CALLS_OF_RESOURCES = "AWS679f53fac002430cb0da5b7982bd2287"
COPIES = "CustomCDKBucketDeployment"
KUBECTL_PROVIDER = "ClusterKubectl"
"""How the logical ids of the CDK's own functions begin, which all have the same handler."""


class TestFunctionsOfTheCdk:
    """Code that we do not write: its calls are read from the source that is deployed."""

    def test_the_default_group_is_emptied_with_two_actions_and_restored_with_two(
        self, assembly: Assembly
    ) -> None:
        (file,) = assembly.directory.glob("asset.*/__entrypoint__.js")
        called = operations("ec2", file.with_name("index.js").read_text())
        role = FunctionRole(resolution_of(assembly), "llm-prod-network", "__entrypoint__.handler")
        assert {f"ec2:{name}" for name in called} == role.granted()

    def test_the_framework_calls_the_one_function_that_it_was_given(
        self, assembly: Assembly
    ) -> None:
        (file,) = assembly.directory.glob("asset.*/outbound.js")
        source = file.read_text()
        assert operations("lambda", source) == {"Invoke"}
        assert "waitUntilFunctionActiveV2" in source
        role = FunctionRole(resolution_of(assembly), "llm-prod-eks", "framework.onEvent")
        # What Invoke and the waiter (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html)
        # are called in policies.
        assert role.granted() == {"lambda:InvokeFunction", "lambda:GetFunction"}

    def test_kubectl_describes_its_cluster_and_logs_in_to_the_public_registry(
        self, assembly: Assembly
    ) -> None:
        (file,) = assembly.directory.glob("asset.*/helm/__init__.py")
        commands = {
            found
            for source in file.parents[1].glob("*/__init__.py")
            for found in re.findall(r"\['? ?'aws', '([a-z0-9-]+)', '([a-z-]+)'", source.read_text())
        }
        assert commands == set(KUBECTL)
        role = FunctionRole(
            resolution_of(assembly), "llm-prod-eks", "index.handler", KUBECTL_PROVIDER
        )
        network = {name for name in IN_A_VPC if name.startswith("ec2:")}
        needed = set().union(*KUBECTL.values())
        assert role.granted() == needed | network | set(LAMBDAS_OWN)

    @pytest.mark.parametrize("environment", ["staging", "prod"])
    def test_calls_that_resources_are_made_of_are_what_their_function_may_do(
        self, environment: str, assembly: Assembly
    ) -> None:
        resolution, stack = resolution_of(assembly), f"llm-{environment}-training"
        role = FunctionRole(resolution, stack, "index.handler", CALLS_OF_RESOURCES)
        account = account_of(role)
        requests = {
            Request(
                f"logs:{call['action'][0].upper()}{call['action'][1:]}",
                account.arn("logs", f"log-group:{call['parameters']['logGroupName']}"),
            )
            for resource in assembly.templates[stack]["Resources"].values()
            if resource["Type"] == "Custom::AWS"
            for event_type in ("Create", "Update", "Delete")
            if event_type in resource["Properties"]
            for call in [json.loads(resolution.text(resource["Properties"][event_type], stack))]
        }
        assert requests
        assert [each for each in requests if not role.allows(each)] == []
        passed = {"kms:DescribeKey": "CloudWatch Logs looks at the key in the caller's name."}
        assert role.unused(requests) == {*LAMBDAS_OWN, *passed}

    def test_scripts_are_copied_by_a_function_that_writes_to_one_bucket_alone(
        self, assembly: Assembly
    ) -> None:
        (file,) = [
            file
            for file in assembly.directory.glob("asset.*/index.py")
            if "def s3_deploy(" in file.read_text()
        ]
        commands = set(re.findall(r"""["']s3["'], ["'](\w+)["']""", file.read_text()))
        assert commands == {"cp", "rm", "sync"}
        role = FunctionRole(
            resolution_of(assembly),
            "llm-prod-training",
            "index.handler",
            COPIES,
        )
        assert {action.partition(":")[0] for action in role.granted()} == {"kms", "logs", "s3"}
        written = {
            resource.split("/")[0]
            for each in role.statements
            if "s3:PutObject" in each.actions
            for resource in each.resources
        }
        assert len(written) == 1


KUBECTL: Mapping[tuple[str, str], set[str]] = {
    ("eks", "update-kubeconfig"): {"eks:DescribeCluster"},
    # https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
    ("ecr-public", "get-login-password"): {
        "ecr-public:GetAuthorizationToken",
        "sts:GetServiceBearerToken",
    },
    # Charts of private registries and charts from assets, of which the project has none.
    ("ecr", "get-login-password"): set(),
    ("s3", "cp"): set(),
}
"""What the CDK's kubectl function runs of AWS's command line, and the actions that it needs."""


def operations(service: str, source: str) -> set[str]:
    """Return the operations of a service that JavaScript calls by a method of their name."""
    model = botocore.session.get_session().get_service_model(service)
    by_method = {name[0].lower() + name[1:]: name for name in model.operation_names}
    return {by_method[name] for name in re.findall(r"\.(\w+)\(", source) if name in by_method}


def test_the_kubectl_provider_brings_no_chart_from_assets_or_private_registries(
    assembly: Assembly,
) -> None:
    charts = [
        resource["Properties"]
        for template in assembly.templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "Custom::AWSCDK-EKS-HelmChart"
    ]
    assert charts
    assert [chart for chart in charts if "ChartAssetURL" in chart] == []
    assert [chart for chart in charts if ".dkr.ecr." in chart.get("Repository", "")] == []


def test_every_function_is_judged_here(assembly: Assembly) -> None:
    judged = {
        *("gateway/run.sh", "authorizer.handler.handler", "__entrypoint__.handler"),
        *("framework.onEvent", "index.handler", "bedrock_settings.handler.handler"),
        # In test_tuning_permissions.py.
        *("tuning_quality.validator.handler", "tuning_quality.evaluator.handler"),
    }
    handlers = {
        resource["Properties"].get("Handler")
        for template in assembly.templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    by_index = {
        logical_id
        for template in assembly.templates.values()
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"].get("Handler") == "index.handler"
    }
    known = (CALLS_OF_RESOURCES, KUBECTL_PROVIDER, COPIES)
    assert all(each.startswith(known) for each in by_index)
    packages = {file.parent.name for file in LAMBDAS.glob("*/handler.py")} | {"gateway"}
    assert handlers == judged
    assert packages == {"authorizer", "bedrock_settings", "gateway", "task_governance"}
