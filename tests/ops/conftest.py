"""What the tests of the command line share."""

from collections.abc import Iterator

import boto3
import pytest

from tests.ops.aws_on_loopback import AwsOnLoopback


@pytest.fixture(scope="module")
def loopback() -> Iterator[AwsOnLoopback]:
    """AWS as every session of this module's tests finds it."""
    with AwsOnLoopback() as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        # A session of its own for each command would read EC2's large model anew.
        session = boto3.Session()
        patch.setattr(boto3, "Session", lambda: session)
        yield aws
