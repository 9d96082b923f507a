"""``python -m ops local``: the platform on this machine, without an account."""

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from ops.local.access import LocalCloudError
from ops.local.coverage import Coverage

if TYPE_CHECKING:
    from ops.local.cloud import LocalCloud

app = typer.Typer(no_args_is_help=True, help="The platform on this machine, on an emulator of AWS.")

FAILED = 1
"""Exit code: the reason is on standard error."""

_CONSOLE = Console(highlight=False, soft_wrap=True)

_INTRODUCTION = """
The local cloud runs. This makes it what `python -m ops`, boto3 and the CDK talk to:

  eval "$(.venv/bin/python -m ops local env)"
  .venv/bin/python -m ops usage limit --team demo --env local --usd-per-month 5
  export OPENAI_API_KEY="$(.venv/bin/python -m ops keys create --team demo --env local)"
  .venv/bin/python -c 'from openai import OpenAI
for part in OpenAI().chat.completions.create(
    model="fast", stream=True, messages=[{"role": "user", "content": "Hello"}]
):
    print(part.choices[0].delta.content or "", end="") if part.choices else None'

The gateway: <url>/v1, and its playground: <url>/
"""


@app.command()
def up() -> None:
    """Start the emulator and a fake Bedrock, and deploy the environment `local` onto them."""
    started = time.monotonic()
    with told_in_sentences(), ended_as_by_ctrl_c():
        cloud = _cloud()
        cloud.up()
        introduction = _INTRODUCTION.replace("<url>", _gateway_url(cloud))
        _CONSOLE.print(introduction, markup=False)
        _print_coverage(cloud)
    _CONSOLE.print(f"It took {time.monotonic() - started:.0f} s. `make local-down` removes it.")


@app.command()
def down() -> None:
    """End the local cloud and remove all that it wrote."""
    with told_in_sentences():
        _cloud().down()
    _CONSOLE.print("There is no local cloud any more.")


@app.command()
def status(
    types: Annotated[bool, typer.Option(help="Name the resource types, too.")] = False,
) -> None:
    """Say what runs, where, and how much memory it takes."""
    with told_in_sentences():
        cloud = _cloud()
        access = cloud.access
        for name, mebibytes in cloud.memory().items():
            state = f"takes {mebibytes:.0f} MiB with all that it started"
            _CONSOLE.print(f"{name} {state if mebibytes else 'has ended'}")
        _CONSOLE.print(f"AWS's APIs: {access.endpoint}")
        if cloud.running:
            _CONSOLE.print(f"The gateway: {_gateway_url(cloud)}/v1", markup=False)
        _print_coverage(cloud, named=types)


@app.command()
def env() -> None:
    """Print the variables that make the local cloud this shell's AWS, for `eval`."""
    with told_in_sentences():
        cloud = _cloud()
        variables = {
            **cloud.access.client_environment,
            "OPENAI_BASE_URL": f"{_gateway_url(cloud)}/v1",
        }
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@contextmanager
def told_in_sentences() -> Iterator[None]:
    """End the command with a sentence on standard error when the cloud fails."""
    try:
        yield
    except LocalCloudError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), markup=False)
        raise typer.Exit(FAILED) from None


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Clean up, too, when a terminal is closed or a job of continuous integration is cancelled.

    A signal that is ignored stays so: `nohup` is for going on without a terminal.
    """
    signals = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    previous = {number: signal.signal(number, _interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    # Once is enough: what cleans up is not to be interrupted by a second one.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _cloud() -> "LocalCloud":
    try:
        from ops.local.cloud import LocalCloud
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed; it is for development. Run `make install`."
        raise LocalCloudError(message) from None
    return LocalCloud()


def _gateway_url(cloud: "LocalCloud") -> str:
    return cloud.access.gateway_url(cloud.output("gateway", "Url"))


def _print_coverage(cloud: "LocalCloud", *, named: bool = False) -> None:
    coverage = Coverage.of(cloud.assembly, cloud.emulated_types)
    emulated, checked = coverage.emulated, coverage.checked
    _CONSOLE.print(
        f"{emulated.total()} resources of {len(emulated)} types are emulated. "
        f"{checked.total()} of {len(checked)} types are only compared with their schemas: their "
        "templates are consistent, which does not say that they work on AWS."
    )
    if named:
        _CONSOLE.print(f"Emulated: {', '.join(sorted(emulated))}")
        _CONSOLE.print(f"Only compared: {', '.join(sorted(checked))}")
