"""What Bedrock and the providers of its models may keep of prompts and answers."""

from dataclasses import dataclass
from enum import StrEnum


class RetentionMode(StrEnum):
    """What may be kept of prompts and answers outside the account.

    https://docs.aws.amazon.com/bedrock/latest/userguide/data-retention.html
    """

    INHERIT = "inherit"
    """No opinion: each model's own rule holds. This is how AWS makes new accounts."""
    DEFAULT = "default"
    """Each model's own rule holds. AWS may keep data for safety; providers receive none."""
    NONE = "none"
    """Nothing is kept. Models that cannot be had without retention refuse every call."""
    AWS_REVIEW = "aws_review"
    """AWS may review requests and answers."""
    PROVIDER_DATA_SHARE = "provider_data_share"
    """Data may be kept and shared with a model's provider. Some models demand it."""


@dataclass(frozen=True, kw_only=True)
class RetentionSetting:
    """The data-retention mode of every caller of Bedrock in the account and region.

    docs/bedrock-settings.md says what each mode lets AWS and the providers keep.
    """

    mode: RetentionMode
    """`none` keeps nothing, and models that demand retention refuse every call; `inherit` and
    `default` leave it to each model's own rule; `aws_review` and `provider_data_share` let more be
    kept."""
