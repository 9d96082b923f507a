"""Who asks, and whether the account and region are prepared for the CDK."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config import Environment
from ops.aws_account import GLOBAL_REGION, Account, Call, RefusedError
from ops.preflight.check import Finding, Severity

GROUP: Final = "account"

GET_CALLER: Final = Call("sts", "GetCallerIdentity")
GET_REGION: Final = Call("account", "GetRegionOptStatus")
GET_PARAMETER: Final = Call("ssm", "GetParameter")

BOOTSTRAP_PARAMETER: Final = "/cdk-bootstrap/hnb659fds/version"
"""Where `cdk bootstrap` writes its version, with the default qualifier.

https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
"""

LOWEST_BOOTSTRAP: Final = 6
"""The version that the CDK's default synthesiser asks for.

`BOOTSTRAP_VERSION` of https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/core/lib/stack-synthesizers/default-synthesizer.ts
"""

NOT_FOUND: Final = frozenset({"ParameterNotFound"})


@dataclass(frozen=True)
class CallerCheck:
    """The credentials belong to the environment's account."""

    title: str = "credentials for the account of the file"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_CALLER,)

    def concerns(self, environment: Environment) -> bool:
        """Every environment has an account."""
        return bool(environment.account)

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare the caller's account with the file's."""
        caller = account.call(GET_CALLER)
        if caller["Account"] != environment.account:
            yield Finding(
                "account",
                f"The credentials belong to {caller['Account']}, and the file says "
                f"{environment.account}.",
                "Sign in to the other account, or correct `account` in the file. Everything below "
                f"was asked of {caller['Account']}.",
            )


@dataclass(frozen=True)
class RegionCheck:
    """The account may use the region."""

    title: str = "region turned on for the account"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_REGION,)

    def concerns(self, environment: Environment) -> bool:
        """Only the standard partition has regions that must be turned on."""
        return not environment.region.startswith("us-gov-")

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for every region that the environment deploys to."""
        for region in _regions(environment):
            status = account.call(GET_REGION, region=GLOBAL_REGION, RegionName=region)
            if not status["RegionOptStatus"].startswith("ENABLED"):
                yield Finding(
                    region,
                    f"The region is {status['RegionOptStatus'].lower()} for this account.",
                    f"Run `aws account enable-region --region-name {region}` and wait.",
                )


@dataclass(frozen=True)
class BootstrapCheck:
    """The CDK is bootstrapped wherever the environment deploys."""

    title: str = "CDK bootstrap"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_PARAMETER,)

    def concerns(self, environment: Environment) -> bool:
        """Every environment is deployed by the CDK."""
        return bool(environment.region)

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Read the version that the bootstrap stack wrote, in each region."""
        for region in _regions(environment):
            version = self._version(account, region)
            if version is None or version < LOWEST_BOOTSTRAP:
                has = "not bootstrapped" if version is None else f"at bootstrap version {version}"
                yield Finding(
                    region,
                    f"The region is {has}, and the deployment needs version {LOWEST_BOOTSTRAP} or "
                    "later.",
                    f"Run `npx cdk bootstrap aws://{environment.account}/{region}`.",
                )

    @staticmethod
    def _version(account: Account, region: str) -> int | None:
        try:
            answer = account.call(GET_PARAMETER, region=region, Name=BOOTSTRAP_PARAMETER)
        except RefusedError as refused:
            if refused.code in NOT_FOUND:
                return None
            raise
        return int(json.loads(answer["Parameter"]["Value"]))


@dataclass(frozen=True)
class PublicAccessCheck:
    """The account blocks public access to S3, which covers buckets that others make too."""

    title: str = "S3 Block Public Access of the account"
    group: str = GROUP
    calls: tuple[Call, ...] = (Call("s3control", "GetPublicAccessBlock"),)

    def concerns(self, environment: Environment) -> bool:
        """It matters where data is kept."""
        return environment.data is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Warn unless all four switches are on; the platform's own buckets have them anyway."""
        settings: dict[str, bool] = {}
        try:
            answer = account.call(self.calls[0], AccountId=environment.account)
            settings = answer["PublicAccessBlockConfiguration"]
        except RefusedError as refused:
            if refused.code != "NoSuchPublicAccessBlockConfiguration":
                raise
        if not (settings and all(settings.values()) and len(settings) == _SWITCHES):
            yield Finding(
                "S3",
                "The account does not block public access to all of its buckets.",
                "Turn all four settings on with `aws s3control put-public-access-block`.",
                Severity.WARNING,
            )


_SWITCHES = 4


def _regions(environment: Environment) -> tuple[str, ...]:
    replication = environment.data.replication if environment.data else None
    return (environment.region, *((replication.region,) if replication else ()))
