"""The gateway as it is deployed on the emulator: its real functions, roles, tables and logs."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from gateway.governance.administration import Team
from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.local.conftest import Deployment

MESSAGE = "Hello from the outside"
PERSONAL = ("mara.lindqvist@example.com", "+1 202 555 0143", "4111 1111 1111 1111")


def ask(client: openai.OpenAI, text: str = MESSAGE) -> str:
    answer = client.chat.completions.create(
        model="fast", messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content or ""


def test_openais_client_gets_an_answer(local_cloud: Deployment) -> None:
    client = local_cloud.openai(local_cloud.key("answers"))
    assert ask(client).strip() == f"You said: {MESSAGE}"
    assert {model.id for model in client.models.list()} == {"fast", "standard", "embed"}


def test_the_first_token_arrives_before_the_last_is_produced(
    local_cloud: Deployment, bedrock: FakeBedrock
) -> None:
    client = local_cloud.openai(local_cloud.key("streams"))
    first, *rest = text_steps("first ", "last")[1:]
    start = text_steps()[0]
    bedrock.script(Reply([start, first, {"wait": "last-token"}, *rest]))

    stream = client.chat.completions.create(
        model="fast", messages=[{"role": "user", "content": MESSAGE}], stream=True
    )
    parts = (part.choices[0].delta.content for part in stream if part.choices)
    received = next(part for part in parts if part)
    # Were anything between here and the model to wait for the end, this would not be reached.
    bedrock.gate("last-token").set()

    assert received == "first "
    assert [part for part in parts if part] == ["last"]


def test_only_keys_that_exist_are_let_in(local_cloud: Deployment) -> None:
    key = local_cloud.key("strangers")
    with pytest.raises(openai.AuthenticationError):
        ask(local_cloud.openai(key[:-4] + ("bbbb" if key.endswith("a") else "aaaa")))
    with pytest.raises(openai.AuthenticationError):
        ask(local_cloud.openai("not a key"))


def test_a_key_made_on_the_command_line_works_until_it_is_revoked(local_cloud: Deployment) -> None:
    local_cloud.ops("usage", "limit", "--team", "by-hand")
    key = local_cloud.ops("keys", "create", "--team", "by-hand")
    client = local_cloud.openai(key)
    assert MESSAGE in ask(client)

    local_cloud.ops("keys", "revoke", key.split("_")[1])

    with pytest.raises((openai.AuthenticationError, openai.PermissionDeniedError)):
        ask(client)


def test_a_budget_holds_when_everybody_calls_at_once(local_cloud: Deployment) -> None:
    allowed, callers = 3, 8
    client = local_cloud.openai(local_cloud.key("crowd", requests_per_day=allowed))

    def outcome(_: int) -> str:
        try:
            ask(client)
        except openai.RateLimitError as error:
            return str(error.code)
        return "answered"

    with ThreadPoolExecutor(callers) as pool:
        outcomes = Counter(pool.map(outcome, range(callers)))

    assert outcomes == {"answered": allowed, "insufficient_quota": callers - allowed}
    ledger = local_cloud.cloud.output("gateway", "LedgerTable")
    items = local_cloud.client("dynamodb").scan(TableName=ledger)["Items"]
    counters = [item for item in items if item["id"]["S"].startswith("TEAM#crowd#")]
    spent = {item["id"]["S"]: item for item in counters}
    assert spent, "the ledger has no counter of the team"
    assert all(int(item["requests"]["N"]) == allowed for item in spent.values())
    assert all(int(item["micro_usd"]["N"]) > 0 for item in spent.values())


def test_the_logs_hold_the_request_and_no_personal_data(local_cloud: Deployment) -> None:
    client = local_cloud.openai(local_cloud.key("private"))
    mail, telephone, card = PERSONAL
    ask(client, f"Write to {mail}, call {telephone}, charge {card}. Reference: zebra.")

    logs = local_cloud.client("logs")
    deadline = time.monotonic() + 120
    lines: list[str] = []
    while time.monotonic() < deadline and not any("zebra" in line for line in lines):
        groups = logs.describe_log_groups()["logGroups"]
        names = [group["logGroupName"] for group in groups]
        events = (logs.filter_log_events(logGroupName=name)["events"] for name in names)
        lines = [event["message"] for found in events for event in found]

    (request,) = [json.loads(line) for line in lines if "zebra" in line and '"event"' in line]
    assert request["team"] == "private"
    # The fake repeats what it is told, so that each stands in the question and in the answer.
    assert request["redactions"] == 2 * len(PERSONAL)
    assert request["usage"]["output_tokens"] > 0
    everything = "\n".join(lines)
    assert [text for text in PERSONAL if text in everything] == []


def test_the_functions_role_is_what_lets_it_call_bedrock(local_cloud: Deployment) -> None:
    client = local_cloud.openai(local_cloud.key("authorised"))
    assert MESSAGE in ask(client)
    iam = local_cloud.client("iam")
    roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    (role,) = [name for name in roles if "GatewayApplicationRole" in name]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    statements = [it for it in document["Statement"] if "bedrock:InvokeModel" not in it["Action"]]
    assert len(statements) < len(document["Statement"])

    changed = json.dumps({**document, "Statement": statements})
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=changed)
    try:
        with pytest.raises(openai.PermissionDeniedError, match="not authorized to perform"):
            ask(client)
    finally:
        whole = json.dumps(document)
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=whole)

    assert MESSAGE in ask(client)


def test_a_workload_signs_its_requests_with_its_role(
    local_cloud: Deployment, workload: dict[str, str]
) -> None:
    def call() -> tuple[int, str]:
        question = {"model": "fast", "messages": [{"role": "user", "content": MESSAGE}]}
        address = f"{local_cloud.url}/iam/v1/chat/completions"
        request = AWSRequest("POST", address, data=json.dumps(question))
        request.headers["Content-Type"] = "application/json"
        credentials = Credentials(
            workload["AccessKeyId"], workload["SecretAccessKey"], workload["SessionToken"]
        )
        SigV4Auth(credentials, "execute-api", local_cloud.cloud.access.region).add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return answer.status_code, answer.text

    status, _ = call()
    assert status == 401

    local_cloud.administration.put_team(Team(name="workloads"))
    local_cloud.administration.register_role(workload["RoleArn"], "workloads")

    status, text = call()
    assert status == 200, text
    assert MESSAGE in text


@pytest.fixture
def workload(local_cloud: Deployment) -> Iterator[dict[str, str]]:
    """The credentials of a role that may call the API, and its ARN."""
    iam, name = local_cloud.client("iam"), "workload"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{local_cloud.cloud.access.account}:root"},
        "Action": "sts:AssumeRole",
    }
    allowed = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": "arn:aws:execute-api:*:*:*/live/POST/iam/v1/*",
    }
    version = "2012-10-17"
    arn = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": version, "Statement": [trust]}),
    )["Role"]["Arn"]
    document = json.dumps({"Version": version, "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="call", PolicyDocument=document)
    session = local_cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="batch")
    yield {**session["Credentials"], "RoleArn": arn}
    iam.delete_role_policy(RoleName=name, PolicyName="call")
    iam.delete_role(RoleName=name)


def test_a_policy_that_wants_tls_refuses_plain_http(
    local_cloud: Deployment, reader: dict[str, str]
) -> None:
    access = local_cloud.cloud.access
    plain = f"http://127.0.0.1:{access.plain_port}"
    bucket = local_cloud.client("s3").list_buckets()["Buckets"][0]["Name"]

    def objects(endpoint: str) -> int:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            verify=access.certificate,
            region_name=access.region,
            config=Config(s3={"addressing_style": "path"}),
            aws_access_key_id=reader["AccessKeyId"],
            aws_secret_access_key=reader["SecretAccessKey"],
        )
        return int(client.list_objects_v2(Bucket=bucket)["KeyCount"])

    assert objects(access.endpoint) >= 0
    with pytest.raises(ClientError, match="AccessDenied"):
        objects(plain)


@pytest.fixture
def reader(local_cloud: Deployment) -> Iterator[dict[str, str]]:
    """The credentials of a user who may read every bucket, as far as its policy lets him."""
    iam, name = local_cloud.client("iam"), "reader"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield key
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="read")
    iam.delete_user(UserName=name)
