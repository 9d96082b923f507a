"""Serve the emulator: ``python -m ops.local.emulator``, configured by its environment."""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app

from ops.local.emulator import (
    bedrock,
    custom_resources,
    function_workers,
    stack_outputs,
    usage_keys,
)
from ops.local.emulator.checked_resources import CheckedResources
from ops.local.emulator.resource_schemas import RegistrySchemas
from ops.local.emulator.web_adapter import WebAdapter


def main() -> int:
    """Serve on loopback until told to stop; return the process's exit code."""
    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)
    stack_outputs.install()
    usage_keys.install()
    custom_resources.install()
    resources = CheckedResources(RegistrySchemas(Path(os.environ["LOCAL_SCHEMAS"])))
    Path(os.environ["LOCAL_EMULATED_TYPES"]).write_text(json.dumps(sorted(resources.emulated)))
    resources.install(os.environ["MINISTACK_REGION"])
    bedrock.install(os.environ["LOCAL_BEDROCK"])
    packages = Path(os.environ["LOCAL_PACKAGES"])
    function_workers.install(packages)
    adapter = WebAdapter(packages)
    adapter.install()
    try:
        asyncio.run(_serve())
    finally:
        adapter.stop()
    return 0


async def _serve() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}"]
    # Clients of the gateway need no certificate; a policy that asks for TLS refuses them.
    config.insecure_bind = [f"127.0.0.1:{os.environ['LOCAL_PLAIN_PORT']}"]
    config.certfile = os.environ["MINISTACK_SSL_CERT"]
    config.keyfile = os.environ["MINISTACK_SSL_KEY"]
    config.graceful_timeout = 0.5
    config.shutdown_timeout = 5
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await serve(app, config, shutdown_trigger=stopped.wait)


if __name__ == "__main__":
    sys.exit(main())
