"""What the scripts decide, without a node."""

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperpod_node.document import Document
from hyperpod_node.host import CommandError, Host, NodeError, attempts
from hyperpod_node.lnet import LustreInterfaces, parse_networks
from hyperpod_node.packages import is_at_least
from hyperpod_node.settings import Account, Settings, UnixUser, read_settings
from hyperpod_node.slurm_accounts import parents_first
from hyperpod_node.unix_users import ensure_users
from llm_constructs.specs import lifecycle as specs
from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.lifecycle import Lifecycle
from llm_constructs.specs.lifecycle_settings import LifecycleSettings, NodeExpectation, NodeRole

names = st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True)


@st.composite
def choices(draw: st.DrawFn) -> Lifecycle:
    """What a team might choose, without conflicts."""
    chosen = draw(st.lists(names, unique=True, max_size=6))
    half = len(chosen) // 2
    groups = [specs.UnixGroup(name=name, gid=3000 + at) for at, name in enumerate(chosen[:half])]
    users = [
        specs.UnixUser(name=name, uid=2000 + at, groups=tuple(chosen[:half][at:]))
        for at, name in enumerate(chosen[half:])
    ]
    accounts = [
        specs.SlurmAccount(
            name=name,
            description=draw(st.sampled_from(["Base models", "Modèles"])),
            organization="research",
            parent=parent,
            fairshare=draw(st.integers(1, 99)),
            users=tuple(user.name for user in users),
        )
        for name, parent in zip(chosen, ["root", *chosen], strict=False)
    ]
    return Lifecycle(
        users=tuple(users),
        unix_groups=tuple(groups),
        accounts=tuple(accounts),
        hold_kernel=draw(st.booleans()),
        mount_timeout_seconds=draw(st.integers(1, 1800)),
    )


@given(choices(), st.sampled_from(sorted(INSTANCE_TYPES)), st.booleans())
@hypothesis.settings(max_examples=25, deadline=None)
def test_nodes_read_what_was_chosen(
    lifecycle: Lifecycle, instance_type: str, over_efa: bool
) -> None:
    """Both sides of settings.json mean the same, for every type of instance."""
    row = INSTANCE_TYPES[instance_type]
    group = NodeExpectation.of("all", NodeRole.COMPUTE, row, efa=True, lustre_over_efa=over_efa)
    rendered = LifecycleSettings(cluster="c", groups=(group,), lifecycle=lifecycle).to_json()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "settings.json").write_text(rendered)
        read = read_settings(Path(folder))
    for field in ("users", "unix_groups", "accounts"):
        written = [dataclasses.asdict(entry) for entry in getattr(lifecycle, field)]
        assert [dataclasses.asdict(entry) for entry in getattr(read, field)] == written
    assert read.hold_kernel == lifecycle.hold_kernel
    assert read.mount_timeout_seconds == lifecycle.mount_timeout_seconds
    expected = dataclasses.asdict(group)
    del expected["group"]
    assert dataclasses.asdict(read.groups["all"]) == expected
    assert len(list(parents_first(read.accounts))) == len(lifecycle.accounts)


NETWORKS = """\
net:
    - net type: lo
      local NI(s):
        - nid: 0@lo
          status: up
    - net type: tcp
      local NI(s):
        - nid: 10.1.1.61@tcp
          status: up
          statistics:
              send_count: 5000
    - net type: efa
      local NI(s):
        - nid: 1.61.92.0@efa
          status: up
          interfaces:
              0: efa_0
          statistics:
              send_count: 900
              recv_count: 800
        - nid: 1.61.93.0@efa
          status: down
          statistics:
              send_count: 7
"""

numbers = st.lists(st.integers(0, 400), min_size=1, max_size=4)


class Commands(Host):
    """A host whose commands are answered from a list of accounts of users."""

    def __init__(self, root: Path, users: dict[str, int]) -> None:
        super().__init__(str(root))
        self.users = users
        self.changes: list[tuple[str, ...]] = []

    def run(self, *argv: str) -> str:
        if argv[0] == "getent":
            for name, number in self.users.items():
                if argv[2] in (name, str(number)):
                    return f"{name}:x:{number}:\n"
            raise CommandError(argv, 2, "")
        self.changes.append(argv)
        return ""


def settings(**fields: object) -> Settings:
    defaults: dict[str, object] = {
        "cluster": "training",
        "groups": {},
        "mounts": (),
        "mount_timeout_seconds": 0,
        "lustre_client": None,
        "unix_groups": (),
        "users": (),
        "home_root": "/fsx/home",
        "accounts": (),
        "minimum_packages": (),
        "hold_kernel": False,
        "container_storage": None,
        "observability": None,
    }
    return Settings(**{**defaults, **fields})  # type: ignore[arg-type]


def test_only_efa_interfaces_that_are_up_count() -> None:
    assert parse_networks(NETWORKS) == LustreInterfaces(efa=1, efa_messages=907)
    assert parse_networks("") == LustreInterfaces(efa=0, efa_messages=0)
    assert parse_networks(NETWORKS.replace("@efa", "@efa1")).efa == 1


@given(numbers, numbers)
def test_versions_are_compared_number_by_number(left: list[int], right: list[int]) -> None:
    version = ".".join(map(str, left))
    floor = ".".join(map(str, right))
    assert is_at_least(f"1:{version}-0ubuntu1~rc", floor) == (left >= right)
    assert is_at_least(version, version)


def test_a_version_without_numbers_is_no_guess() -> None:
    with pytest.raises(NodeError, match="no version that can be compared"):
        is_at_least("unknown", "1")


@given(st.permutations(["a", "b", "c", "d"]))
def test_parents_come_before_their_children(order: list[str]) -> None:
    parents = {"a": "root", "b": "a", "c": "b", "d": "a"}
    names = [account.name for account in parents_first(list(accounts(order, parents)))]
    assert sorted(names) == sorted(order)
    assert all(
        parents[name] == "root" or names.index(parents[name]) < names.index(name) for name in names
    )


def test_an_account_without_a_way_to_the_root_is_refused() -> None:
    with pytest.raises(NodeError, match="The parents of x, y are neither"):
        list(parents_first(list(accounts(["x", "y"], {"x": "y", "y": "x"}))))


def accounts(names: list[str], parents: dict[str, str]) -> Iterator[Account]:
    for name in names:
        yield Account(name, "text", "text", parents[name], 1, ())


def test_the_first_look_is_at_once_and_there_is_always_a_second() -> None:
    assert list(attempts(0)) == [1, 2]


def test_a_home_of_another_number_is_never_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a move to a new file system the registry may be another one than the files'."""
    home = tmp_path / "fsx" / "home" / "ada"
    home.mkdir(parents=True)
    owner = home.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    host = Commands(tmp_path, {"ada": owner + 2})
    expected = settings(users=(UnixUser("ada", owner + 2, ()),))
    with pytest.raises(NodeError, match=f"belongs to {owner} and ada is {owner + 2}"):
        ensure_users(host, expected)
    assert host.changes == []


def test_a_link_in_place_of_a_home_is_refused(tmp_path: Path) -> None:
    homes = tmp_path / "fsx" / "home"
    homes.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (homes / "ada").symlink_to(tmp_path / "etc")
    host = Commands(tmp_path, {"ada": 2000})
    with pytest.raises(NodeError, match="is no directory"):
        ensure_users(host, settings(users=(UnixUser("ada", 2000, ()),)))
    assert host.changes == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"key": 3}, "key is `3` and not a string"),
        ({"key": None}, "key is null and not a string"),
        ({"key": ""}, "key is empty"),
        ({}, "has no key"),
        ([], "is a list and not an object"),
    ],
)
def test_a_document_tells_where_it_is_wrong(content: object, message: str) -> None:
    with pytest.raises(NodeError, match=f"settings.json.* {message}"):
        Document("settings.json", content).text("key")


@pytest.mark.parametrize("value", [True, -1, 1.5, "1"])
def test_a_number_is_a_whole_one_from_zero_on(value: object) -> None:
    with pytest.raises(NodeError, match="whole number"):
        Document("settings.json", {"key": value}).number("key")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert host.write("/etc/unit", "old") is True
    assert host.write("/etc/unit", "old") is False
    (tmp_path / "etc" / ".unit.draft").symlink_to("/dev/full")
    with pytest.raises(NodeError, match=r"/etc/unit cannot be written: .*No space left on device"):
        host.write("/etc/unit", "new")
    assert (tmp_path / "etc" / "unit").read_text() == "old"
    assert host.write("/etc/unit", "new") is True
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["unit"]
