"""``python -m ops load``: how an endpoint answers under a load that does not wait for it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from config import environment_names
from config import load as load_environment
from ops.load.plan import Arrivals, LoadPlan, PlanError
from ops.load.run import Target, measure
from ops.load.sample import Objective, Sample, Summary

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LAG_SECONDS = 0.05
"""A client that sends this much too late measures itself."""


def load(
    base_url: Annotated[str, typer.Option(help="The endpoint's address, with /v1 at its end.")],
    model: Annotated[str, typer.Option(help="Model or alias to ask.")],
    rate: Annotated[float, typer.Option(help="Requests in a second.")] = 1.0,
    seconds: Annotated[float, typer.Option(help="For how long they are sent.")] = 60.0,
    arrivals: Annotated[Arrivals, typer.Option(help="How they follow one another.")] = (
        Arrivals.POISSON
    ),
    seed: Annotated[int, typer.Option(help="Of the moments of sending.")] = 0,
    prompt_words: Annotated[int, typer.Option(min=1, max=100_000, help="Words of a prompt.")] = 200,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 128,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds of a whole answer.")] = 120.0,
    first_token: Annotated[
        float, typer.Option(help="Objective: seconds to the first token.")
    ] = 2.0,
    token: Annotated[float, typer.Option(help="Objective: seconds for each further one.")] = 0.1,
    good: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of requests that must meet both.")
    ] = 95.0,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the API key.")
    ] = "LLM_API_KEY",
    output: Annotated[Path | None, typer.Option(help="File for the results as JSON.")] = None,
) -> None:
    """Send requests at a rate, whatever comes back, and say how many answers were good.

    Exit code 0: the objective was met; 1: it was not; 2: the test was not run.
    """
    console = Console()
    try:
        plan = LoadPlan(rate, seconds, arrivals, seed)
    except PlanError as error:
        raise _stopped(str(error)) from None
    key = os.environ.get(key_variable, "")
    if not key:
        raise _stopped(f"{key_variable} is not set. Put the API key there.")
    _ask_first(base_url, plan)
    target = Target(base_url, model, key, prompt_words, max_tokens, timeout)
    samples = measure(target, plan)
    if not samples:
        raise _stopped("Chance sent no request in this time. Give more seconds or another seed.")
    summary = Summary.of(samples, Objective(first_token, token))
    console.print(_table(summary))
    if summary.lag.get("p99", 0.0) > LAG_SECONDS:
        console.print("The client fell behind its own plan: lower the rate, or use more machines.")
    if output is not None:
        output.write_text(json.dumps(_results(target, plan, summary, samples), indent=1) + "\n")
    met = 100 * summary.good_share >= good
    verdict = "met" if met else "not met"
    console.print(
        f"{100 * summary.good_share:.1f} % were good; {good:g} % were asked for: {verdict}."
    )
    raise typer.Exit(0 if met else 1)


def needs_confirmation(base_url: str) -> str | None:
    """Return what a person must type before this endpoint is put under load, ``None`` for nothing.

    Loopback is free, and so are hosts of environments whose data nobody keeps. Any other host might
    serve users.
    """
    host = urlsplit(base_url).hostname or ""
    if host in LOOPBACK:
        return None
    domains = {}
    for name in environment_names():
        environment = load_environment(name)
        if environment.network.domain is not None:
            domains[environment.network.domain.name] = environment.retain_data
    inside = [domain for domain in domains if host == domain or host.endswith(f".{domain}")]
    if inside and not domains[max(inside, key=len)]:
        return None
    return host


def _ask_first(base_url: str, plan: LoadPlan) -> None:
    host = needs_confirmation(base_url)
    if host is None:
        return
    if not sys.stdin.isatty():
        raise _stopped(f"{host} may serve users, and nobody is here who could confirm the load.")
    count = len(plan.moments())
    typed = typer.prompt(
        f"{count} requests go to {host}, are paid for, and compete with its users. "
        "To go on, type the host",
        default="",
        show_default=False,
    )
    if typed.strip() != host:
        raise _stopped("That is not the host. Nothing was sent.")


def _stopped(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(2)


def _results(
    target: Target, plan: LoadPlan, summary: Summary, samples: list[Sample]
) -> dict[str, Any]:
    asked = {name: value for name, value in vars(target).items() if name != "api_key"}
    return {
        "target": asked,
        "plan": vars(plan),
        "summary": summary.body(),
        "samples": [vars(sample) for sample in samples],
    }


def _table(summary: Summary) -> Table:
    table = Table(
        "seconds",
        "p50",
        "p90",
        "p95",
        "p99",
        title=f"{summary.requests} requests in {summary.seconds:.1f} s, "
        f"{summary.output_tokens} tokens",
    )
    rows = {
        "to the first token": summary.first_token,
        "for each further token": summary.token_time,
        "to the end": summary.total,
        "sent too late": summary.lag,
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in values.values()))
    for kind, count in sorted(summary.errors.items()):
        table.add_row(f"error: {kind}", str(count))
    return table
