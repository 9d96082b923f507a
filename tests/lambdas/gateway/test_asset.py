"""What the function's package costs: its imports, and what they must not bring along."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
UNWANTED = ("boto3", "pydantic", "jwt", "cryptography", "asyncio", "moto", "aws_cdk", "jinja2")


def loaded(statement: str) -> set[str]:
    """Return the modules that a statement loads in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "lambdas",
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return set(process.stdout.split())


def test_nothing_heavy_is_loaded() -> None:
    modules = loaded("import gateway.server")
    assert "gateway.app" in modules
    assert not [name for name in UNWANTED if name in modules]


def test_loading_needs_no_environment_and_calls_nothing() -> None:
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "import gateway.server\n"
        "print('loaded')"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "lambdas",
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert process.stdout == "loaded\n"


def test_an_unusable_environment_is_a_sentence_and_no_stack_trace() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "gateway.server"],
        cwd=ROOT / "lambdas",
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.returncode == 2
    assert "GATEWAY_MODELS is not set." in process.stderr
    assert "Traceback" not in process.stderr
