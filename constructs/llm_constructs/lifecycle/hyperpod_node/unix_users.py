"""Users and groups with the same numbers on every node, for as long as their files live."""

from __future__ import annotations

import os
import stat

from hyperpod_node.host import CommandError, Host, NodeError, say
from hyperpod_node.settings import Settings, UnixUser

NOT_FOUND = 2
"""Status of ``getent`` for a key that is not there."""

NAME_FIELD, NUMBER_FIELD, MEMBERS_FIELD = 0, 2, 3


def ensure_users(host: Host, settings: Settings) -> None:
    """Make what is missing; if anything conflicts, make nothing and raise :class:`NodeError`."""
    groups = [(user.name, user.uid) for user in settings.users]
    groups += [(group.name, group.gid) for group in settings.unix_groups]
    missing_groups = [entry for entry in groups if _is_missing(host, "group", *entry)]
    missing_users = [
        user for user in settings.users if _is_missing(host, "passwd", user.name, user.uid)
    ]
    for name, number in missing_groups:
        host.change("groupadd", "--gid", str(number), name)
    for user in missing_users:
        _add_user(host, user, settings.home_root)
    for user in settings.users:
        _join_groups(host, user)
        _make_home(host, user, settings.home_root)
    say(f"{len(settings.users)} users and {len(settings.unix_groups)} groups are as registered")


def _entry(host: Host, database: str, key: str) -> list[str] | None:
    try:
        line = host.run("getent", database, key)
    except CommandError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return line.strip().split(":")


def _is_missing(host: Host, database: str, name: str, number: int) -> bool:
    """Whether name and number are both free; raise :class:`NodeError` if only one of them is."""
    by_name = _entry(host, database, name)
    by_number = _entry(host, database, str(number))
    if by_name and int(by_name[NUMBER_FIELD]) != number:
        raise NodeError(
            f"{name} is {by_name[NUMBER_FIELD]} on this node and {number} in the registry "
            f"({database}). Files keep numbers: find out who made it, and remove it or choose the "
            "name of another."
        )
    if by_number and by_number[NAME_FIELD] != name:
        raise NodeError(
            f"{number} is {by_number[NAME_FIELD]} on this node and {name} in the registry "
            f"({database}). Give {name} a number that no image uses, before it has files."
        )
    return by_name is None


def _add_user(host: Host, user: UnixUser, home_root: str) -> None:
    host.change(
        "useradd", "--uid", str(user.uid), "--gid", str(user.uid), "--shell", "/bin/bash",
        "--home-dir", f"{home_root}/{user.name}", "--no-create-home", user.name,
    )  # fmt: skip


def _join_groups(host: Host, user: UnixUser) -> None:
    joined = [name for name in user.groups if user.name in _members(host, name)]
    missing = [name for name in user.groups if name not in joined]
    if missing:
        host.change("usermod", "--append", "--groups", ",".join(missing), user.name)


def _members(host: Host, group: str) -> list[str]:
    entry = _entry(host, "group", group) or []
    return entry[MEMBERS_FIELD].split(",") if len(entry) > MEMBERS_FIELD else []


def _make_home(host: Host, user: UnixUser, home_root: str) -> None:
    home = host.path(f"{home_root}/{user.name}")
    try:
        home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        status = home.lstat()
    except OSError as error:
        raise NodeError(f"{home} cannot be made: {error}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise NodeError(f"{home} is no directory: remove it, or choose another home_root.")
    if status.st_uid == user.uid:
        return
    # Another node may have made it a moment ago and not have given it away yet.
    if status.st_uid != os.geteuid():
        raise NodeError(
            f"{home} belongs to {status.st_uid} and {user.name} is {user.uid}: the numbers of this "
            "file system are those of another registry. Restore the registry, or change the files' "
            "owner on purpose."
        )
    host.change("chown", "--no-dereference", f"{user.uid}:{user.uid}", str(home))
