"""Slurm's accounts, which only the controller makes.

https://slurm.schedmd.com/sacctmgr.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hyperpod_node.host import CommandError, Host, NodeError, patiently, say
from hyperpod_node.node_identity import NodeIdentity
from hyperpod_node.settings import Account, Settings

FIELDS = ("account", "user", "parentname", "fairshare")


@dataclass(frozen=True)
class Association:
    """A line of Slurm's tree: an account below its parent, or (with ``user``) a user of one."""

    account: str
    user: str
    parent: str
    fairshare: str


def ensure_accounts(host: Host, settings: Settings, identity: NodeIdentity) -> None:
    """Make accounts and memberships as the settings say; remove none."""
    if not settings.accounts:
        return
    if identity.role != "controller":
        say("The controller makes Slurm's accounts")
        return
    known = _associations(host, settings.mount_timeout_seconds)
    accounts = {line.account: line for line in known if not line.user}
    members = {(line.account, line.user) for line in known if line.user}
    for account in parents_first(settings.accounts):
        _ensure_account(host, account, accounts.get(account.name))
        for user in account.users:
            if (account.name, user) not in members:
                host.change("sacctmgr", "--immediate", "add", "user", f"name={user}",
                            f"account={account.name}")  # fmt: skip
    say(f"{len(settings.accounts)} Slurm accounts are as configured")


def _ensure_account(host: Host, account: Account, found: Association | None) -> None:
    place = (f"parent={account.parent}", f"fairshare={account.fairshare}")
    if found is None:
        host.change(
            "sacctmgr", "--immediate", "add", "account", f"name={account.name}", *place,
            f"description={account.description}", f"organization={account.organization}",
        )  # fmt: skip
    elif (found.parent, found.fairshare) != (account.parent, str(account.fairshare)):
        host.change("sacctmgr", "--immediate", "modify", "account", "where",
                    f"name={account.name}", "set", *place)  # fmt: skip


def _associations(host: Host, seconds: int) -> list[Association]:
    """Ask Slurm's database, which may start after this node."""
    show = ("sacctmgr", "--noheader", "--parsable2", "show", "associations")
    try:
        text = patiently(
            seconds,
            lambda: host.run(*show, f"format={','.join(FIELDS)}"),
            "Slurm's database does not answer yet",
        )
    except CommandError as error:
        raise NodeError(
            f"Slurm's database does not answer: {error}. Accounts need Slurm accounting: see that "
            "slurmdbd runs and reaches its database, or take `accounts` out of the settings."
        ) from None
    lines = [line.split("|") for line in text.splitlines() if line]
    if any(len(line) != len(FIELDS) for line in lines):
        raise NodeError("sacctmgr does not list associations as it used to: see its version.")
    return [Association(*line) for line in lines]


def parents_first(accounts: Sequence[Account]) -> Iterator[Account]:
    """Yield accounts in an order in which sacctmgr takes them.

    Raises :class:`NodeError` for accounts that do not lead up to root.
    """
    made = {"root"}
    waiting = list(accounts)
    while waiting:
        ready = [account for account in waiting if account.parent in made]
        if not ready:
            names = ", ".join(account.name for account in waiting)
            raise NodeError(f"The parents of {names} are neither root nor in the settings.")
        yield from ready
        made.update(account.name for account in ready)
        waiting = [account for account in waiting if account.name not in made]
