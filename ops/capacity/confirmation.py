"""A person's word that something is to be bought."""

import sys
from decimal import Decimal, InvalidOperation

import typer

from ops.capacity.offering import Offering


def has_terminal() -> bool:
    """Say whether a person can be asked: no pipe and no option stands in for one."""
    return sys.stdin.isatty()


def confirmed(offering: Offering) -> bool:
    """Ask for the offering's id or its exact price, and say whether it was typed."""
    what = f"the id {offering.offering_id}"
    if offering.total is not None:
        what += f" or the price {offering.total}"
    typed = typer.prompt(
        f"This is paid and not given back. To buy, type {what}", default="", show_default=False
    )
    return says_yes(typed, offering)


def says_yes(typed: str, offering: Offering) -> bool:
    """Say whether ``typed`` is the offering's id or its exact price."""
    text = typed.strip()
    if text == offering.offering_id:
        return True
    try:
        return offering.total is not None and Decimal(text) == offering.total
    except InvalidOperation:
        return False
