"""What a team decides about its HyperPod nodes, beyond what the cluster itself tells them.

The scripts in ``llm_constructs/lifecycle`` carry it out, and a node that cannot be made so fails.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.key_arn import require_key_arn
from llm_constructs.specs.problem import Problems

FIRST_ID: Final = 2_000
"""Lowest UID and GID of people. Images give 1000 and the next ones to users of their own."""

LAST_ID: Final = 59_999
"""Highest UID and GID of people; ``login.defs`` of Ubuntu and Amazon Linux end at 60000.

https://manpages.ubuntu.com/manpages/jammy/en/man5/login.defs.5.html
"""

LONGEST_MOUNT_WAIT: Final = 1_800
"""Seconds; beyond half an hour a file system does not come late but not at all."""

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_S3_OBJECT = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\s]*[^/\s]")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"\d+(\.\d+)*")
_TEXT = re.compile(r"[^\x00-\x1f\x7f\"']{1,64}")


@dataclass(frozen=True, kw_only=True)
class UnixGroup:
    """A group that every node has under the same number.

    Raises :class:`SpecificationError` for a name or number that Linux or the image would not take.
    """

    name: str
    """Lower-case name, at most 32 characters."""
    gid: int
    """Number of the group, 2000 to 59999. Files keep numbers, so it must never change."""

    def __post_init__(self) -> None:
        problems = Problems(f"group {self.name}")
        _check_name(problems, self.name)
        _check_id(problems, "gid", self.gid)
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class UnixUser:
    """A user that every node has under the same number, with a primary group of the same name.

    Raises :class:`SpecificationError` for a name or number that Linux or the image would not take.
    """

    name: str
    """Lower-case name, at most 32 characters."""
    uid: int
    """Number of the user and of its primary group, 2000 to 59999. Files on the shared file system
    keep numbers, so that it must never change, nor be given to anybody else."""
    groups: tuple[str, ...] = ()
    """Names of further groups, each one of `unix_groups`."""

    def __post_init__(self) -> None:
        problems = Problems(f"user {self.name}")
        _check_name(problems, self.name)
        _check_id(problems, "uid", self.uid)
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class SlurmAccount:
    """An account that jobs of a team are booked on.

    Raises :class:`SpecificationError` for what ``sacctmgr`` would refuse or misread.
    """

    name: str
    """Lower-case name."""
    description: str
    """What it is for."""
    organization: str
    """Who owns it."""
    parent: str = "root"
    """The account that it is a part of: `root`, or one of the others."""
    fairshare: int = 1
    """Shares among the accounts of the same parent, at least 1."""
    users: tuple[str, ...] = ()
    """Users who may book on it, each one of `users`."""

    def __post_init__(self) -> None:
        problems = Problems(f"Slurm account {self.name}")
        problems.require(
            bool(_ACCOUNT.fullmatch(self.name)) and self.name != "root",
            "name",
            self.name,
            "Slurm keeps lower-case names, and root is its own.",
            "Use letters, digits, '_', '.' and '-'.",
        )
        for field in ("description", "organization"):
            problems.require(
                bool(_TEXT.fullmatch(getattr(self, field))),
                field,
                getattr(self, field),
                "sacctmgr takes it as one quoted word.",
                "Write 1 to 64 characters without quotes and line breaks.",
            )
        problems.require(
            self.fairshare >= 1,
            "fairshare",
            self.fairshare,
            "An account without a share never gets a node while others wait.",
            "Give at least 1.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class EfaLustreClient:
    """AWS's package that configures a Lustre client for EFA, as an object of your own bucket.

    It is AWS's to publish and not part of this project: download it once, put it into a bucket that
    the nodes can read, and pin its checksum.
    https://docs.aws.amazon.com/fsx/latest/LustreGuide/configure-efa-clients.html

    Raises :class:`SpecificationError` for a source or checksum that cannot be one.
    """

    source: str
    """`s3://bucket/key` of `configure-efa-fsx-lustre-client.zip`."""
    sha256: str
    """Its SHA-256 in 64 lower-case hexadecimal digits; nodes refuse any other file."""
    key_arn: str | None = None
    """The customer-managed key that encrypts the object. Left out: S3's own."""

    def __post_init__(self) -> None:
        problems = Problems("EFA Lustre client")
        require_key_arn(problems, self.key_arn)
        problems.require(
            bool(_S3_OBJECT.fullmatch(self.source)),
            "source",
            self.source,
            "Nodes have no way to the internet, and read it from S3.",
            "Write s3://bucket/key.",
        )
        problems.require(
            bool(_SHA256.fullmatch(self.sha256)),
            "sha256",
            self.sha256,
            "It is no SHA-256 in lower-case hexadecimal digits.",
            "Copy the first word that `sha256sum configure-efa-fsx-lustre-client.zip` prints.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class PackageFloor:
    """The oldest version of a system package that nodes may carry. Nothing is ever installed.

    Raises :class:`SpecificationError` for a name or version that no package manager would print.
    """

    package: str
    """Name in `dpkg` or `rpm`, such as `aws-neuronx-runtime-lib`. Where it is not installed, the
    node fails."""
    version: str
    """Digits and dots, such as `2.24`; a version counts as new enough from there on."""
    accelerator: DeviceKind | None = None
    """Only nodes with these accelerators: `neuron` or `nvidia`. Left out, every node, also the
    controller."""

    def __post_init__(self) -> None:
        problems = Problems(f"package {self.package}")
        problems.require(
            bool(_PACKAGE.fullmatch(self.package)),
            "package",
            self.package,
            "It is no name of a package.",
            "Copy it from `dpkg-query --show` or `rpm --query --all` on a node.",
        )
        problems.require(
            bool(_VERSION.fullmatch(self.version)),
            "version",
            self.version,
            "Only numbers can be compared in one way by every package manager.",
            "Write digits and dots, such as 2.24.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """What the life-cycle scripts make of every node. All of it may be left out.

    Raises :class:`SpecificationError` with every conflict among users, groups and accounts.
    """

    unix_groups: tuple[UnixGroup, ...] = ()
    """Groups of the cluster."""
    users: tuple[UnixUser, ...] = ()
    """Users of the cluster: the one registry of their numbers."""
    home_root: str = "/fsx/home"
    """Directory of the home directories, on a shared file system."""
    accounts: tuple[SlurmAccount, ...] = ()
    """Slurm accounts; they need Slurm accounting, and are made on the controller."""
    lustre_client: EfaLustreClient | None = None
    """Where nodes get the configuration of their Lustre client for EFA from. Left out, images must
    bring it; a node that must speak EFA and does not fails either way."""
    minimum_packages: tuple[PackageFloor, ...] = ()
    """The oldest packages that nodes may carry, such as Neuron's."""
    hold_kernel: bool = True
    """Keep kernel and Lustre client from being upgraded on a running node, because they must fit
    each other and the driver of the accelerators."""
    mount_timeout_seconds: int = 300
    """Seconds that a node waits for a file system before it fails, 1 to 1800."""

    def __post_init__(self) -> None:
        problems = Problems("lifecycle")
        _check_unique(problems, "users", [user.name for user in self.users])
        _check_unique(problems, "users", [user.uid for user in self.users])
        # Each user has a group of the same name and number.
        groups: tuple[UnixGroup | UnixUser, ...] = (*self.users, *self.unix_groups)
        _check_unique(problems, "unix_groups", [group.name for group in groups])
        _check_unique(problems, "unix_groups", [_gid(group) for group in groups])
        _check_unique(problems, "accounts", [account.name for account in self.accounts])
        _check_unique(
            problems, "minimum_packages", [floor.package for floor in self.minimum_packages]
        )
        _check_members(self, problems)
        _check_parents(self.accounts, problems)
        problems.require(
            bool(_PATH.fullmatch(self.home_root)),
            "home_root",
            self.home_root,
            "It is no absolute path without a slash at its end.",
            "Write something like /fsx/home.",
        )
        problems.require(
            1 <= self.mount_timeout_seconds <= LONGEST_MOUNT_WAIT,
            "mount_timeout_seconds",
            self.mount_timeout_seconds,
            "A node must wait at least a second, and must not hide a failure for hours.",
            f"Choose 1 to {LONGEST_MOUNT_WAIT}.",
        )
        problems.raise_if_any()


def _gid(group: UnixGroup | UnixUser) -> int:
    return group.gid if isinstance(group, UnixGroup) else group.uid


def _check_name(problems: Problems, name: str) -> None:
    problems.require(
        bool(_NAME.fullmatch(name)) and name != "root",
        "name",
        name,
        "Linux takes lower-case names of at most 32 characters, and root exists.",
        "Use letters, digits, '_' and '-', beginning with a letter.",
    )


def _check_id(problems: Problems, field: str, number: int) -> None:
    problems.require(
        FIRST_ID <= number <= LAST_ID,
        field,
        number,
        "Numbers below belong to the image, and those above to the system.",
        f"Choose {FIRST_ID} to {LAST_ID}.",
    )


def _check_unique(problems: Problems, field: str, values: Iterable[str | int]) -> None:
    for value, count in Counter(values).items():
        problems.require(
            count == 1,
            field,
            value,
            f"It is given {count} times; a user also has a group of its name and number.",
            "Give every one a name and a number of its own.",
        )


def _check_members(lifecycle: Lifecycle, problems: Problems) -> None:
    groups = {group.name for group in lifecycle.unix_groups}
    users = {user.name for user in lifecycle.users}
    for user in lifecycle.users:
        _check_known(problems, f"users.{user.name}.groups", user.groups, groups, "unix_groups")
    for account in lifecycle.accounts:
        _check_known(problems, f"accounts.{account.name}.users", account.users, users, "users")


def _check_known(
    problems: Problems, field: str, names: Iterable[str], known: set[str], registry: str
) -> None:
    unknown = sorted(set(names) - known)
    problems.require(
        not unknown,
        field,
        unknown,
        f"They are not in {registry}.",
        f"Add them there, or choose from {', '.join(sorted(known)) or 'nobody: it is empty'}.",
    )


def _check_parents(accounts: Sequence[SlurmAccount], problems: Problems) -> None:
    """Every account must lead up to root: sacctmgr makes no orphans, and no cycles."""
    parents = {account.name: account.parent for account in accounts}
    for account in accounts:
        seen = {account.name}
        parent = account.parent
        while parent in parents and parent not in seen:
            seen.add(parent)
            parent = parents[parent]
        problems.require(
            parent == "root",
            f"accounts.{account.name}.parent",
            account.parent,
            "It leads to no account, or back to itself.",
            "Name root or another account of the list, without going round in a circle.",
        )
