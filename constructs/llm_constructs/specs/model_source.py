"""Where a model server gets its weights."""

import re
from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.key_arn import require_key_arn
from llm_constructs.specs.problem import Problems

_FOLDER = re.compile(r"[A-Za-z0-9][\w.=-]*(/[A-Za-z0-9][\w.=-]*)*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECRET_ARN = re.compile(
    r"arn:aws(-us-gov)?:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]{1,500}-[A-Za-z0-9]{6}"
)


class WeightStore(StrEnum):
    """What holds the weights."""

    LAKE = "lake"
    """The models area of the lake, streamed from S3 into the devices."""
    MOUNTPOINT = "mountpoint"
    """The models area of the lake, mounted as files by Mountpoint for Amazon S3."""
    LUSTRE = "lustre"
    """The platform's file system, mounted."""
    HUB = "hub"
    """The Hugging Face hub, over the internet."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The weights of one model.

    Raises :class:`SpecificationError` for what would not be found, or not be the same tomorrow.
    """

    store: WeightStore = WeightStore.LAKE
    """`lake` (streamed from S3), `mountpoint` (files of S3, in a folder of `mounted_models` of
    `[eks.controllers]`), `lustre` (files of the file system) or `hub` (downloaded at each
    start)."""
    path: str
    """The folder below `models/` of the lake, or below the root of the file system, or the id on
    the hub, such as `Qwen/Qwen3-8B`."""
    revision: str | None = None
    """The commit on the hub; required for it, and meaningless elsewhere."""
    token_secret_arn: str | None = None
    """The secret with a token of the hub, for models behind a licence. Its value is the token."""
    token_key_arn: str | None = None
    """The KMS key of that secret, where it is not AWS's own."""

    def __post_init__(self) -> None:
        problems = Problems("model source")
        if self.store == WeightStore.HUB:
            self._check_hub(problems)
        else:
            self._check_folder(problems)
        problems.require(
            self.token_secret_arn is None
            or _SECRET_ARN.fullmatch(self.token_secret_arn) is not None,
            "token_secret_arn",
            self.token_secret_arn,
            "It is not the whole ARN of a secret, which ends in a hyphen and six characters.",
            "Copy it from `aws secretsmanager describe-secret`.",
        )
        require_key_arn(problems, self.token_key_arn, "token_key_arn")
        problems.require(
            self.token_key_arn is None or self.token_secret_arn is not None,
            "token_key_arn",
            self.token_key_arn,
            "There is no secret that it could decrypt.",
            "Give token_secret_arn as well, or leave it out.",
        )
        problems.raise_if_any()

    def _check_hub(self, problems: Problems) -> None:
        problems.require(
            _HUB_ID.fullmatch(self.path) is not None,
            "path",
            self.path,
            "It is not the id of a model on the hub.",
            "Write it as organisation/model, such as Qwen/Qwen3-8B.",
        )
        problems.require(
            self.revision is not None and _COMMIT.fullmatch(self.revision) is not None,
            "revision",
            self.revision,
            "Without a commit the next pod could serve other weights than the one before.",
            "Give the 40 hexadecimal digits of the commit on the hub.",
        )

    def _check_folder(self, problems: Problems) -> None:
        problems.require(
            _FOLDER.fullmatch(self.path) is not None,
            "path",
            self.path,
            "It is not a folder below the models.",
            "Write it without slashes at its ends, such as llama/2026-11-01.",
        )
        for field in ("revision", "token_secret_arn"):
            problems.require(
                getattr(self, field) is None,
                field,
                getattr(self, field),
                f"Weights of the store {self.store} have none.",
                'Leave it out, or set store = "hub".',
            )
