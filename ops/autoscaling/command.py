"""``python -m ops autoscaling``: whether a model's scaling keeps up with a load."""

import json
import statistics
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from ops.autoscaling.findings import findings
from ops.autoscaling.load_profile import LoadProfile, ProfileError, read, wave
from ops.autoscaling.scaled_object import Scaling, ScalingError, scaling_of
from ops.autoscaling.simulation import Outcome, Server, Simulation
from ops.kubernetes.contents import clusters
from ops.load.sample import percentiles
from ops.synthesis import ROOT

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORKLOADS: Final = ("Deployment", "LeaderWorkerSet")
_ROUTER: Final = "model-router"


def autoscaling(
    model: Annotated[str, typer.Argument(help="Name of one of the models that the file serves.")],
    env: Annotated[str, typer.Option(help="Environment.")],
    concurrency: Annotated[int, typer.Option(min=1, help="Requests a copy answers at once.")],
    cold_start: Annotated[
        int, typer.Option(min=0, help="Seconds from asking for a copy to its first answer.")
    ],
    measured: Annotated[
        Path | None, typer.Option(help="Results of `ops load` with that many at once.")
    ] = None,
    answer: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds of a whole answer, if not measured.")
    ] = None,
    first_token: Annotated[
        float | None, typer.Option(min=0, help="Seconds to its first token, if not measured.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="CSV file with minute,requests_per_second.")
    ] = None,
    base: Annotated[float, typer.Option(min=0, help="Requests a second, without --profile.")] = 0.5,
    peak: Annotated[float, typer.Option(min=0, help="At the peak, without --profile.")] = 4.0,
    ramp_minutes: Annotated[float, typer.Option(min=0.1, help="From base to peak.")] = 10.0,
    peak_minutes: Annotated[float, typer.Option(min=0.1, help="How long the peak lasts.")] = 30.0,
    starts: Annotated[
        str, typer.Option(help="Day and time of the first minute, in the time zone of the hours.")
    ] = "mon 09:00",
    metrics_age: Annotated[
        int, typer.Option(min=0, max=600, help="Seconds from a metric's scrape to its reading.")
    ] = 60,
    objective: Annotated[float, typer.Option(help="Objective: seconds to the first token.")] = 2.0,
    good: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of requests that must meet it.")
    ] = 95.0,
    seed: Annotated[int, typer.Option(help="Of the moments at which requests come.")] = 0,
    assembly: Annotated[Path, typer.Option(help="Folder of the cloud assembly.")] = ROOT
    / "cdk.out",
    output: Annotated[Path | None, typer.Option(help="File for the run, second by second.")] = None,
) -> None:
    """Follow a load through the ScaledObject that would be deployed, second by second.

    Exit code 0: the objective is met; 1: it is not; 2: nothing was followed.
    """
    try:
        load = read(profile) if profile else _wave(base, peak, ramp_minutes, peak_minutes)
        scaling = _scaling(assembly, env, model)
        server = _server(measured, answer, first_token, concurrency, cold_start, metrics_age)
        minute = _minute(starts)
    except (ProfileError, ScalingError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    run = Simulation(scaling=scaling, server=server, profile=load, starts_at=minute, seed=seed)
    outcome = run.run()
    console = Console()
    console.print(_table(outcome, scaling))
    for sentence in findings(outcome, scaling=scaling, server=server, profile=load):
        console.print(f"- {sentence}", highlight=False)
    if output is not None:
        output.write_text(json.dumps(_body(outcome, objective), indent=1) + "\n", encoding="utf-8")
    share = 100 * outcome.good_share(objective)
    verdict = "met" if share >= good else "not met"
    console.print(
        f"{share:.1f} % had their first token within {objective:g} s; {good:g} % were asked for: "
        f"{verdict}.",
        highlight=False,
    )
    raise typer.Exit(0 if share >= good else 1)


def _wave(base: float, peak: float, ramp_minutes: float, peak_minutes: float) -> LoadProfile:
    return wave(base=base, peak=peak, ramp_minutes=ramp_minutes, peak_minutes=peak_minutes)


def _scaling(assembly: Path, env: str, model: str) -> Scaling:
    stack = f"llm-{env}-serving"
    made = [
        each for cluster in clusters(assembly) for each in cluster.objects if each.stack == stack
    ]
    workloads = {
        each.name: each
        for each in made
        if each.kind in _WORKLOADS and _ROUTER not in str(each.body["spec"].get("selector"))
    }
    scaled = {each.name: each for each in made if each.kind == "ScaledObject"}
    if model in scaled:
        return scaling_of(scaled[model].body)
    if model in workloads:
        return Scaling.fixed(int(workloads[model].body["spec"]["replicas"]))
    choice = ", ".join(sorted(workloads)) or "nothing"
    raise ScalingError(
        f"{stack} serves no model {model!r}. Choose from {choice}; run `make synth` first if the "
        "file has just changed."
    )


def _server(
    measured: Path | None,
    answer: float | None,
    first_token: float | None,
    concurrency: int,
    cold_start: int,
    metrics_age: int,
) -> Server:
    if measured is not None:
        answer, first_token = _medians(measured)
    if answer is None or first_token is None:
        raise ProfileError(
            "How long an answer takes is not known. Give --measured with a file of `ops load`, or "
            "both --answer and --first-token."
        )
    if first_token > answer:
        raise ProfileError(
            f"The first token comes after {first_token:g} s, and the whole answer takes "
            f"{answer:g} s. Give a first token that comes before the end."
        )
    return Server(
        concurrency=concurrency,
        answer_seconds=answer,
        first_token_seconds=first_token,
        start_seconds=cold_start,
        metrics_seconds=metrics_age,
    )


def _medians(path: Path) -> tuple[float, float]:
    try:
        samples = json.loads(path.read_text(encoding="utf-8"))["samples"]
        whole = [each for each in samples if each["error"] is None and each["first_token"]]
        return (
            statistics.median(each["total"] for each in whole),
            statistics.median(each["first_token"] for each in whole),
        )
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}. Give a file of `ops load`.") from None
    except (ValueError, KeyError, TypeError):
        raise ProfileError(
            f"{path}: It has no answers that `ops load --output` wrote. Measure again."
        ) from None


def _minute(text: str) -> int:
    """Return the minute of the week of a day and time such as ``mon 09:00``."""
    day, _, clock = text.partition(" ")
    hour, _, minute = clock.partition(":")
    legal = day in DAYS and hour.isdecimal() and minute.isdecimal()
    if not legal or int(hour) > 23 or int(minute) > 59:
        raise ProfileError(
            f"--starts is {text!r}, which is no day and time. Write it as in 'mon 09:00'."
        )
    return (DAYS.index(day) * 24 + int(hour)) * 60 + int(minute)


def _table(outcome: Outcome, scaling: Scaling) -> Table:
    table = Table("figure", title=f"{outcome.requests} requests", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in percentiles(outcome.first_tokens).items():
        table.add_row(f"to the first token, {name}", f"{value:.1f} s")
    table.add_row("refused, no copy was ready", str(outcome.refused))
    table.add_row("still waiting at the end", str(outcome.unanswered))
    most = max((moment.replicas for moment in outcome.moments), default=0)
    table.add_row("most copies", f"{most} of {scaling.maximum}")
    longest = max((moment.waiting for moment in outcome.moments), default=0)
    table.add_row("longest queue", str(longest))
    table.add_row("hours of copies", f"{outcome.replica_hours:.1f}")
    return table


def _body(outcome: Outcome, objective: float) -> dict[str, Any]:
    return {
        "requests": outcome.requests,
        "refused": outcome.refused,
        "unanswered": outcome.unanswered,
        "good_share": round(outcome.good_share(objective), 4),
        "replica_hours": round(outcome.replica_hours, 3),
        "moments": [vars(moment) for moment in outcome.moments],
    }
