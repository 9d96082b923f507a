"""What an environment watches, whom it tells, and who looks at which board."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from llm_constructs.specs.problem import Problems

LARGEST_DEVIATIONS: Final = 10.0
"""A band of more than ten standard deviations to each side is left by nothing."""

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-chatbot-slackchannelconfiguration.html
_SLACK_WORKSPACE = re.compile(r"[0-9A-Z]{1,255}")
_SLACK_CHANNEL = re.compile(r"[A-Za-z0-9]{1,255}")
_RUNBOOKS = re.compile(r"https://[^\s?#]+[^\s?#/]")


class Audience(StrEnum):
    """Who looks at a board."""

    SERVICE = "service"
    """The owner of a service: are users served, and how well."""
    TRAINING = "training"
    """Whoever trains: are nodes, file systems and networks healthy and busy."""
    COST = "cost"
    """Whoever pays: what is spent, by team, model and service."""
    CAPACITY = "capacity"
    """Whoever plans: how much of what there is, is used, and how it grows."""


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """Addresses that get alarms by e-mail, once their owner has confirmed."""

    page: tuple[str, ...] = ()
    """Addresses that are told when a person must act now."""
    ticket: tuple[str, ...] = ()
    """Addresses that are told when a person must act within working days."""

    def __post_init__(self) -> None:
        problems = Problems("recipients")
        for name in ("page", "ticket"):
            addresses: tuple[str, ...] = getattr(self, name)
            for address in addresses:
                problems.require(
                    _ADDRESS.fullmatch(address) is not None,
                    name,
                    address,
                    "It is not an e-mail address.",
                    "Write it as alerts@example.com; a list that several people read is best.",
                )
            problems.require(
                len(set(addresses)) == len(addresses),
                name,
                list(addresses),
                "An address is named twice, and SNS has one subscription for each.",
                "Name each once.",
            )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class SlackChannel:
    """A channel that gets alarms, after an administrator has let AWS into the workspace."""

    workspace_id: str
    """The workspace's id, as the console of Amazon Q Developer in chat applications shows it."""
    channel_id: str
    """The channel's id: the last part of the channel's link."""

    def __post_init__(self) -> None:
        problems = Problems("Slack channel")
        problems.require(
            _SLACK_WORKSPACE.fullmatch(self.workspace_id) is not None,
            "workspace_id",
            self.workspace_id,
            "It is not the id of a workspace.",
            "Take it from the console; it looks like T0123ABCDEF.",
        )
        problems.require(
            _SLACK_CHANNEL.fullmatch(self.channel_id) is not None,
            "channel_id",
            self.channel_id,
            "It is not the id of a channel.",
            "Copy the channel's link; its last part looks like C0123ABCDEF.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Observability:
    """Boards, alarms, and whom they tell. Alarms exist for whatever the environment has."""

    boards: tuple[Audience, ...] = tuple(Audience)
    """The audiences that get a board: `service`, `training`, `cost`, `capacity`. A board without
    anything to show is not made."""
    anomaly_deviations: float = 2.0
    """How far a value may lie from what CloudWatch expects, in standard deviations, before an alarm
    on an anomaly rings. Fewer is more sensitive."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds by the name of an alarm, in the unit of its metric, in place of the built-in ones.
    docs/alarms.md lists names and units."""
    runbooks_url: str | None = None
    """Where people read docs/runbooks, without a slash at the end: every alarm links its page.
    Left out: alarms name the file."""
    emails: Recipients = Recipients()
    """Who is told by e-mail. Left out: nobody."""
    slack: SlackChannel | None = None
    """The Slack channel that is told. Left out: none."""

    def __post_init__(self) -> None:
        problems = Problems("observability")
        problems.require(
            0 < self.anomaly_deviations <= LARGEST_DEVIATIONS,
            "anomaly_deviations",
            self.anomaly_deviations,
            f"It must lie above 0 and be at most {LARGEST_DEVIATIONS:.0f}.",
            "Use 2 to begin with, 3 if it rings too often.",
        )
        problems.require(
            len(set(self.boards)) == len(self.boards),
            "boards",
            [board.value for board in self.boards],
            "A board is named twice.",
            "Name each once.",
        )
        problems.require(
            self.runbooks_url is None or _RUNBOOKS.fullmatch(self.runbooks_url) is not None,
            "runbooks_url",
            self.runbooks_url,
            "It is not an address that a page's name can follow.",
            "Write it as https://git.example.com/llm-platform/docs/runbooks, without a slash, a "
            "question mark or a hash at the end.",
        )
        problems.raise_if_any()
