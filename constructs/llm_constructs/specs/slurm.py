"""How Slurm is set up on a HyperPod cluster."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.key_arn import require_key_arn
from llm_constructs.specs.problem import Problems

HIGHEST_PORT: Final = 65_535

_HOST = re.compile(
    r"(?=.{1,255}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):(\d{12}):secret:\S+")
_SCHEMA = re.compile(r"[a-zA-Z0-9$_]{1,64}")


class SlurmConfigStrategy(StrEnum):
    """Who wins when HyperPod writes ``slurm.conf``; ``SlurmConfigStrategy`` of the API."""

    MANAGED = "Managed"
    """HyperPod owns the partitions and refuses an update when people changed them."""
    MERGE = "Merge"
    """What people changed stays beside what HyperPod writes."""
    OVERWRITE = "Overwrite"
    """What people changed is lost with the next update."""


@dataclass(frozen=True, kw_only=True)
class AccountingDatabase:
    """A MySQL database that outlives the controller, for the history of jobs and accounts.

    Raises :class:`SpecificationError` for what CloudFormation refuses.
    """

    endpoint: str
    """Host name, as RDS or Aurora MySQL tells it. Its security group must admit the nodes'."""
    secret_arn: str
    """Secret of Secrets Manager with the user name and password."""
    key_arn: str | None = None
    """The customer-managed key that encrypts the secret. Left out: AWS's own."""
    name: str | None = None
    """The database's schema. Left out, HyperPod names it after the cluster."""
    port: int = 3_306
    """Its port."""

    def __post_init__(self) -> None:
        problems = Problems("accounting database")
        problems.require(
            _HOST.fullmatch(self.endpoint) is not None,
            "endpoint",
            self.endpoint,
            "It is no host name.",
            "Give the endpoint alone, without a scheme and port.",
        )
        problems.require(
            _SECRET_ARN.fullmatch(self.secret_arn) is not None,
            "secret_arn",
            self.secret_arn,
            "It is not the ARN of a secret of Secrets Manager.",
            "Write it as arn:aws:secretsmanager:us-east-2:111111111111:secret:name-AbCdEf.",
        )
        require_key_arn(problems, self.key_arn)
        problems.require(
            self.name is None or _SCHEMA.fullmatch(self.name) is not None,
            "name",
            self.name,
            "MySQL and HyperPod take 1 to 64 letters, digits, $ and _.",
            "Leave it out, or shorten it.",
        )
        problems.require(
            1 <= self.port <= HIGHEST_PORT,
            "port",
            self.port,
            "It is no TCP port.",
            "MySQL's is 3306.",
        )
        problems.raise_if_any()

    @property
    def region(self) -> str:
        """The region of the secret."""
        return self.secret_arn.split(":")[3]


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """Slurm on HyperPod.

    Raises :class:`SpecificationError` for what does not go together.
    """

    strategy: SlurmConfigStrategy = SlurmConfigStrategy.MANAGED
    """`Managed`, `Merge` or `Overwrite`: whose partitions stay when the cluster is updated."""
    accounting: AccountingDatabase | None = None
    """A database outside of the cluster. Left out: on the controller, and lost with it."""
    legacy_file: bool = False
    """Describe Slurm by the file `provisioning_parameters.json` instead of the API, as clusters of
    before 2026 are. Such clusters cannot have a strategy or a database here."""

    def __post_init__(self) -> None:
        problems = Problems("slurm")
        problems.require(
            self.strategy in tuple(SlurmConfigStrategy),
            "strategy",
            self.strategy,
            "HyperPod has no such strategy.",
            f"Choose from {', '.join(SlurmConfigStrategy)}.",
        )
        problems.require(
            not self.legacy_file or self.strategy == SlurmConfigStrategy.MANAGED,
            "strategy",
            self.strategy,
            "The strategy belongs to the API, which legacy_file does not use.",
            "Leave it out, or set legacy_file = false.",
        )
        problems.require(
            not self.legacy_file or self.accounting is None,
            "accounting",
            self.accounting and self.accounting.endpoint,
            "The database is given through the API, which legacy_file does not use.",
            "Set legacy_file = false, or leave the database out.",
        )
        problems.raise_if_any()
