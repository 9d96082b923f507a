"""Secrets with tokens of the Hugging Face hub, which models behind a licence need."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config import Environment
from llm_constructs.specs.model_server import ModelServer
from ops.aws_account import Account, Call, RefusedError
from ops.preflight.check import Finding

DESCRIBE_SECRET: Final = Call("secretsmanager", "DescribeSecret")

_NOT_FOUND: Final = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True)
class ModelTokensCheck:
    """The secrets exist, and pods may decrypt them. Their values are not read."""

    title: str = "secrets with tokens of the hub"
    group: str = "models on the cluster"
    calls: tuple[Call, ...] = (DESCRIBE_SECRET,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a model names a token."""
        return any(True for _ in _with_tokens(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Look for each secret, and compare its key with the file's."""
        for model in _with_tokens(environment):
            subject = f"serving.models.{model.name}"
            try:
                secret = account.call(DESCRIBE_SECRET, SecretId=model.source.token_secret_arn)
            except RefusedError as refused:
                if refused.code not in _NOT_FOUND:
                    raise
                yield Finding(
                    subject,
                    f"There is no secret {model.source.token_secret_arn} in {account.region}.",
                    "Make it with `aws secretsmanager create-secret`, and copy its ARN.",
                )
                continue
            yield from _findings(subject, model, secret)


def _findings(subject: str, model: ModelServer, secret: Mapping[str, Any]) -> Iterator[Finding]:
    if secret.get("DeletedDate"):
        yield Finding(
            subject,
            "The secret with its token is about to be deleted.",
            "Restore it with `aws secretsmanager restore-secret`.",
        )
    key = secret.get("KmsKeyId")
    if key and model.source.token_key_arn is None:
        yield Finding(
            subject,
            f"The secret is encrypted with {key}, which its pods may not use.",
            "Give the key's ARN as token_key_arn.",
        )


def _with_tokens(environment: Environment) -> Iterator[ModelServer]:
    models = environment.serving.models if environment.serving else ()
    return (model for model in models if model.source.token_secret_arn is not None)
