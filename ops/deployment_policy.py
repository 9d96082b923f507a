"""``ops deployment-policy``: what CloudFormation must be allowed to deploy an environment."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from config import load
from ops.assembly import AssemblyError, stacks
from ops.resource_schema import handler_permissions

MOST_CHARACTERS: Final = 6144
"""Characters of a managed policy, without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

MOST_POLICIES: Final = 10
"""Managed policies that a role takes, unless AWS raises it."""

_IAM: Final = "iam:"
_FUNCTION: Final = "lambda:InvokeFunction"
_ALWAYS: Final = (
    # What the bootstrap's version and the assets' bucket are read with.
    "ssm:GetParameters",
    "s3:GetObject",
    "kms:Decrypt",
)
# Global services are called in one region, whatever the stack's.
_GLOBAL: Final = ("budgets:", "ce:", "route53:")


def deployment_policy(
    env: Annotated[str, typer.Option(help="Environment to deploy.")] = "dev",
    assembly: Annotated[Path, typer.Option(help="Where `make synth` wrote.")] = Path("cdk.out"),
    out: Annotated[Path, typer.Option(help="Folder for the policies.")] = Path(),
) -> None:
    """Write the IAM policies with which CloudFormation can deploy an environment.

    Their actions are those that CloudFormation's registry says the environment's types of resources
    call. Hand them to `cdk bootstrap --cloudformation-execution-policies`.
    """
    environment = load(env)
    prefix = f"llm-{env}-"
    own = [stack for stack in stacks(assembly) if stack.name.startswith(prefix)]
    if not own:
        raise AssemblyError(f"env = {env!r}: {assembly} holds no stack of it. Run `make synth`.")
    types = {it["Type"] for stack in own for it in stack.template["Resources"].values()}
    regions = sorted({stack.region for stack in own})
    out.mkdir(parents=True, exist_ok=True)
    for number, policy in enumerate(policies(types, environment.account, regions), 1):
        path = out / f"llm-{env}-deployment-{number}.json"
        path.write_text(f"{json.dumps(policy, indent=2)}\n", encoding="utf-8")
        typer.echo(path)


def policies(types: Iterable[str], account: str, regions: list[str]) -> list[dict[str, Any]]:
    """Return the policies for resources of ``types``, each small enough for IAM.

    IAM is limited to what stacks of the platform name, and everything regional to ``regions``.
    """
    actions = {*_ALWAYS, *(it for kind in types for it in handler_permissions(kind))}
    if any(kind.startswith("Custom::") for kind in types):
        actions.add(_FUNCTION)
    iam = sorted(it for it in actions if it.startswith(_IAM))
    worldwide = sorted(it for it in actions if it.startswith(_GLOBAL))
    regional = sorted(actions - set(iam) - set(worldwide))
    condition = {"StringEquals": {"aws:RequestedRegion": regions}}
    return [
        {"Version": "2012-10-17", "Statement": statements}
        for statements in (
            *([_statement(part, condition=condition)] for part in _parts(regional)),
            [
                _statement(iam, resources=_identities(account)),
                *([_statement(worldwide)] if worldwide else []),
            ],
        )
    ]


def _identities(account: str) -> list[str]:
    # The names that CloudFormation gives begin with the stack's; service-linked roles have AWS's.
    arn = f"arn:aws:iam::{account}"
    return [
        *(f"{arn}:{kind}/llm-*" for kind in ("role", "policy", "instance-profile")),
        f"{arn}:role/aws-service-role/*",
    ]


def _statement(
    actions: list[str], *, resources: list[str] | None = None, condition: Any = None
) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources or "*",
        **({"Condition": condition} if condition else {}),
    }


def _parts(actions: list[str]) -> Iterator[list[str]]:
    room = MOST_CHARACTERS - 400
    part: list[str] = []
    size = 0
    for action in actions:
        if size + len(action) + 3 > room:
            yield part
            part, size = [], 0
        part.append(action)
        size += len(action) + 3
    yield part
