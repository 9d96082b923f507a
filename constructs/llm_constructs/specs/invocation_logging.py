"""What Bedrock logs of the calls to its models, and where to."""

from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.role_arn import ROLE_ARN

DEFAULT_RETENTION_DAYS = 30


class LogDestination(StrEnum):
    """Where Bedrock writes its logs."""

    CLOUDWATCH = "cloudwatch"
    """A log group: to be searched. Bodies above 100 KB are left out unless S3 is chosen as well."""
    S3 = "s3"
    """A bucket: cheaper, and the only place for images, video and audio."""


class LoggedData(StrEnum):
    """The kinds of data that Bedrock can leave in or out."""

    TEXT = "text"
    IMAGE = "image"
    EMBEDDING = "embedding"
    VIDEO = "video"
    AUDIO = "audio"


_IN_FILES = frozenset({LoggedData.IMAGE, LoggedData.VIDEO, LoggedData.AUDIO})


@dataclass(frozen=True)
class InvocationLogs:
    """Raw requests and answers of every caller in the account and region.

    Nothing is redacted, not even what a guardrail masks.

    Raises :class:`SpecificationError` for what cannot be logged.
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
    """

    destinations: frozenset[LogDestination] = frozenset({LogDestination.S3})
    """Where the logs go: `s3`, `cloudwatch` (without bodies above 100 KB unless S3 takes them) or
    both."""
    data: frozenset[LoggedData] = frozenset({LoggedData.TEXT})
    """The kinds of data that are logged. Images, video and audio need S3."""
    retention_days: int = DEFAULT_RETENTION_DAYS
    """Days until the logs go, at every destination."""
    earlier_role_arns: tuple[str, ...] = ()
    """Roles with which Bedrock wrote to a log group before: putting that logging back on deletion
    means passing them to Bedrock again. Needed only where the account already logs to a group."""

    def __post_init__(self) -> None:
        problems = Problems("invocation logging")
        problems.require(
            bool(self.destinations),
            "destinations",
            sorted(self.destinations),
            "Logs without a destination are not written.",
            f"Name one or more of: {', '.join(LogDestination)}.",
        )
        problems.require(
            bool(self.data),
            "data",
            sorted(self.data),
            "Logs would hold none of the data that they are made for.",
            f"Name one or more of: {', '.join(LoggedData)}; or leave invocation logging out.",
        )
        in_files = sorted(kind.value for kind in self.data & _IN_FILES)
        problems.require(
            not in_files or LogDestination.S3 in self.destinations,
            "data",
            in_files,
            "Bedrock writes binary data to S3 only.",
            "Add s3 to destinations, or leave them out.",
        )
        check_log_retention(problems, self.retention_days, "retention_days")
        for arn in self.earlier_role_arns:
            problems.require(
                ROLE_ARN.fullmatch(arn) is not None,
                "earlier_role_arns",
                arn,
                "Bedrock writes to log groups with an IAM role, and this is not the ARN of one.",
                "Write it as arn:aws:iam::111111111111:role/name.",
            )
        problems.raise_if_any()
