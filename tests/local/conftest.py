"""One local cloud for every test here: started once, deployed once, and gone at the end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from openai import OpenAI

from gateway.governance.administration import Administration, NewKey, Team
from gateway.governance.versioned_secret import VersionedSecret
from ops.fake_bedrock.server import FakeBedrock
from ops.local.cloud import EMULATOR, LocalCloud
from ops.synthesis import CLI
from tests.local.probe_stack import ProbeStack
from tests.project_copy import copy_project

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROOT = Path(__file__).parent.parent.parent
LAST = "test_destruction"
"""The module whose tests take the cloud apart."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the cloud whole until all others have used it, whatever the random order."""
    items.sort(key=lambda item: item.path.stem == LAST)


@dataclass(frozen=True)
class Deployment:
    """The environment `local` as it is deployed, seen by its administrator."""

    cloud: LocalCloud
    project: Path

    def client(self, service: str) -> Any:
        """Return a client of an AWS API of the local cloud, as the account's root."""
        access = self.cloud.access
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=access.endpoint,
            verify=access.certificate,
            region_name=access.region,
            aws_access_key_id=access.account,
            aws_secret_access_key=access.secret,
        )

    @cached_property
    def url(self) -> str:
        """Where the gateway answers."""
        return self.cloud.access.gateway_url(self.cloud.output("gateway", "Url"))

    @cached_property
    def administration(self) -> Administration:
        """What `python -m ops keys` and `usage` use."""
        directory: DynamoDBClient = self.client("dynamodb")
        secrets: SecretsManagerClient = self.client("secretsmanager")
        return Administration(
            directory,
            self.cloud.output("gateway", "DirectoryTable"),
            VersionedSecret(secrets, self.cloud.output("gateway", "PepperSecret")),
        )

    def key(self, team: str, **limits: int) -> str:
        """Make a team without limits of its own and a key with ``limits``; return the key."""
        from gateway.governance.budget import Limits

        self.administration.put_team(Team(name=team))
        return str(self.administration.create_key(NewKey(team=team, limits=Limits(**limits))))

    def openai(self, key: str) -> OpenAI:
        """Return OpenAI's own client, which does not try again."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=300)

    def ops(self, *arguments: str) -> str:
        """Run the project's command line against the local cloud; return what it printed."""
        environment = {**os.environ, **self.cloud.access.client_environment}
        command = [sys.executable, "-m", "ops", *arguments, "--env", "local"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


EARLIER_LOGGING = {"s3Config": {"bucketName": "audit"}, "textDataDeliveryEnabled": True}
EARLIER_MODE = "aws_review"
"""What the account's settings were before anything was deployed."""


@pytest.fixture(scope="session")
def bedrock() -> Iterator[FakeBedrock]:
    """The Bedrock that the cloud's gateway calls and whose settings its stacks change."""
    with FakeBedrock() as fake:
        fake.account.logging, fake.account.mode = EARLIER_LOGGING, EARLIER_MODE
        yield fake


@pytest.fixture(scope="session")
def installed() -> None:
    """Skip where the emulator or the CDK's command line is missing."""
    if not (EMULATOR / "bin" / "python").exists() or not CLI.exists():
        pytest.skip("the emulator is not installed: run `make install`")


@pytest.fixture(scope="session")
def local_cloud(
    installed: None, bedrock: FakeBedrock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The environment deployed, of a copy of the project, so that a test can change its file."""
    project = tmp_path_factory.mktemp("project")
    copy_project(project)
    # What was built for these sources already is not built again.
    (project / ".cache").mkdir()
    (project / ".cache" / "functions").symlink_to(ROOT / ".cache" / "functions")
    (ROOT / ".cache" / "functions").mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp("cloud")
    cloud = LocalCloud(folder / "local", project=project, bedrock=bedrock.endpoint_url)
    try:
        cloud.up()
        yield Deployment(cloud, project)
    finally:
        cloud.down()


@pytest.fixture
def probe(local_cloud: Deployment) -> Iterator[ProbeStack]:
    """A stack of the test's own, which is deleted at its end."""
    made = ProbeStack(local_cloud.client("cloudformation"))
    yield made
    made.delete()
