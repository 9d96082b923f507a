"""What the cluster expects of its nodes: ``settings.json``, as the CDK rendered it.

The other side of the file is ``llm_constructs/specs/lifecycle_settings.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperpod_node.document import Document
from hyperpod_node.host import NodeError

FILE = "settings.json"
VERSION = 1
"""The only layout that these scripts know."""

ROLES = ("controller", "login", "compute")
ACCELERATORS = ("none", "neuron", "nvidia")
MOUNTERS = ("hyperpod", "scripts")


@dataclass(frozen=True)
class Expectation:
    """What the nodes of one instance group are."""

    role: str
    accelerator: str
    devices: int
    efa_interfaces: int
    lustre_efa_interfaces: int
    driver_floor: int | None
    fabric_manager: bool


@dataclass(frozen=True)
class Mount:
    """A Lustre file system and its place."""

    source: str
    path: str
    mounted_by: str


@dataclass(frozen=True)
class LustreClient:
    """AWS's package that configures Lustre for EFA."""

    source: str
    sha256: str


@dataclass(frozen=True)
class UnixGroup:
    """A group and its number."""

    name: str
    gid: int


@dataclass(frozen=True)
class UnixUser:
    """A user and its number, which its primary group shares."""

    name: str
    uid: int
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """A Slurm account."""

    name: str
    description: str
    organization: str
    parent: str
    fairshare: int
    users: tuple[str, ...]


@dataclass(frozen=True)
class PackageFloor:
    """The oldest version of a package, on nodes with an accelerator or (``None``) on all."""

    package: str
    version: str
    accelerator: str | None


@dataclass(frozen=True)
class Observability:
    """Where logs and metrics go."""

    log_group: str
    metrics_namespace: str


@dataclass(frozen=True)
class Settings:
    """The whole file."""

    cluster: str
    groups: dict[str, Expectation]
    mounts: tuple[Mount, ...]
    mount_timeout_seconds: int
    lustre_client: LustreClient | None
    unix_groups: tuple[UnixGroup, ...]
    users: tuple[UnixUser, ...]
    home_root: str
    accounts: tuple[Account, ...]
    minimum_packages: tuple[PackageFloor, ...]
    hold_kernel: bool
    container_storage: str | None
    observability: Observability | None


def read_settings(folder: Path) -> Settings:
    """Read ``settings.json`` beside the scripts; raise :class:`NodeError` unless it is whole."""
    try:
        # Bytes, because reading as text would hide line ends that are not Unix's.
        text = (folder / FILE).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NodeError(f"{FILE} cannot be read beside the scripts: {error}.") from None
    document = Document.parse(FILE, text)
    version = document.number("version")
    if version != VERSION:
        raise NodeError(
            f"{FILE} has version {version}, and these scripts read {VERSION}. Deploy scripts and "
            "settings together."
        )
    client = document.optional("lustre_client")
    observability = document.optional("observability")
    settings = Settings(
        cluster=document.text("cluster"),
        groups={name: _expectation(group) for name, group in document.named_objects("groups")},
        mounts=tuple(_mount(item) for item in document.objects("mounts")),
        mount_timeout_seconds=document.number("mount_timeout_seconds"),
        lustre_client=_lustre_client(client) if client else None,
        unix_groups=tuple(_unix_group(item) for item in document.objects("unix_groups")),
        users=tuple(_unix_user(item) for item in document.objects("users")),
        home_root=document.text("home_root"),
        accounts=tuple(_account(item) for item in document.objects("accounts")),
        minimum_packages=tuple(_floor(item) for item in document.objects("minimum_packages")),
        hold_kernel=document.flag("hold_kernel"),
        container_storage=document.optional_text("container_storage"),
        observability=_observability(observability) if observability else None,
    )
    document.finish()
    return settings


def _one_of(document: Document, key: str, choices: tuple[str, ...]) -> str:
    value = document.text(key)
    if value not in choices:
        raise NodeError(f"{FILE}: {key} is {value} and not one of {', '.join(choices)}.")
    return value


def _expectation(document: Document) -> Expectation:
    expectation = Expectation(
        role=_one_of(document, "role", ROLES),
        accelerator=_one_of(document, "accelerator", ACCELERATORS),
        devices=document.number("devices"),
        efa_interfaces=document.number("efa_interfaces"),
        lustre_efa_interfaces=document.number("lustre_efa_interfaces"),
        driver_floor=document.optional_number("driver_floor"),
        fabric_manager=document.flag("fabric_manager"),
    )
    document.finish()
    return expectation


def _mount(document: Document) -> Mount:
    dns_name = document.text("dns_name")
    mount = Mount(
        source=f"{dns_name}@tcp:/{document.text('mount_name')}",
        path=document.text("path"),
        mounted_by=_one_of(document, "mounted_by", MOUNTERS),
    )
    document.finish()
    return mount


def _lustre_client(document: Document) -> LustreClient:
    client = LustreClient(document.text("source"), document.text("sha256"))
    document.finish()
    return client


def _unix_group(document: Document) -> UnixGroup:
    group = UnixGroup(document.text("name"), document.number("gid"))
    document.finish()
    return group


def _unix_user(document: Document) -> UnixUser:
    user = UnixUser(document.text("name"), document.number("uid"), document.texts("groups"))
    document.finish()
    return user


def _account(document: Document) -> Account:
    account = Account(
        name=document.text("name"),
        description=document.text("description"),
        organization=document.text("organization"),
        parent=document.text("parent"),
        fairshare=document.number("fairshare"),
        users=document.texts("users"),
    )
    document.finish()
    return account


def _floor(document: Document) -> PackageFloor:
    floor = PackageFloor(
        document.text("package"), document.text("version"), document.optional_text("accelerator")
    )
    document.finish()
    return floor


def _observability(document: Document) -> Observability:
    observability = Observability(document.text("log_group"), document.text("metrics_namespace"))
    document.finish()
    return observability
