"""How a local cloud is reached: ports on loopback, a secret, a certificate."""

import json
import os
import random
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

PORTS: Final = range(20_000, 32_000)
"""Below the ports that kernels give by themselves (from 32768 on Linux, 49152 elsewhere), so that
none is given to another program between its choice here and its use, and that no connection to a
closed one can be made from itself. https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html
"""


class LocalCloudError(Exception):
    """What went wrong, for the person at the keyboard."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """The account, the ports, and the secret of the account's root.

    ``port`` speaks TLS, ``plain_port`` does not: policies that want TLS refuse what comes there.
    """

    account: str
    region: str
    certificate: str
    port: int
    plain_port: int
    bedrock: str
    secret: str

    @classmethod
    def new(
        cls, *, account: str, region: str, certificate: Path, bedrock: str | None = None
    ) -> Self:
        """Return free ports and a new secret; ``bedrock`` is a fake that runs elsewhere already."""
        port, plain_port, bedrock_port = free_ports(3)
        return cls(
            account=account,
            region=region,
            certificate=str(certificate),
            port=port,
            plain_port=plain_port,
            bedrock=bedrock or f"http://127.0.0.1:{bedrock_port}",
            secret=secrets.token_urlsafe(24),
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Return what :meth:`write` wrote.

        Raises:
            LocalCloudError: there is no local cloud.
        """
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise LocalCloudError("There is no local cloud. Start one with `make local`.") from None

    def write(self, file: Path) -> None:
        """Write it down for this user alone."""
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def endpoint(self) -> str:
        """Where AWS's APIs answer."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def client_environment(self) -> dict[str, str]:
        """What a client of AWS needs in its environment to be this account's root here.

        Nothing of the user's own settings for AWS has an effect then.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": self.certificate,
            "NODE_EXTRA_CA_CERTS": self.certificate,
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def gateway_url(self, stack_output: str) -> str:
        """Return where an API answers that AWS would serve at ``stack_output``, without a slash."""
        host, _, stage = stack_output.removeprefix("https://").rstrip("/").partition("/")
        api = host.split(".", 1)[0]
        return f"http://127.0.0.1:{self.plain_port}/_aws/execute-api/{api}/{stage}"


def free_ports(count: int) -> list[int]:
    """Return different ports of loopback that nothing is bound to, out of :data:`PORTS`.

    Raises:
        LocalCloudError: there are not so many.
    """
    # Not the generator that a test run seeds alike in each of its processes.
    chance = random.SystemRandom()
    found: list[int] = []
    for port in chance.sample(PORTS, len(PORTS)):
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise LocalCloudError(f"Fewer than {count} ports of {PORTS.start} to {PORTS.stop} are free.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
