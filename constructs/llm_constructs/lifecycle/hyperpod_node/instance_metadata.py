"""Version 2 of the instance metadata service, which wants a token first.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import os
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

ENDPOINT = "http://169.254.169.254"
"""Where it is, unless AWS_EC2_METADATA_SERVICE_ENDPOINT names another place."""

ANSWER_SECONDS = 5


class MetadataError(Exception):
    """The service does not answer, or not with what was asked for."""


def instance_id() -> str:
    """Return the id of this instance, or raise :class:`MetadataError`."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = _ask("PUT", "/latest/api/token", lifetime)
    header = {"X-aws-ec2-metadata-token": token}
    return _ask("GET", "/latest/meta-data/instance-id", header)


def _ask(method: str, path: str, headers: dict[str, str]) -> str:
    endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ENDPOINT)
    # Unlike urllib.request, this takes no proxy from the environment.
    connection = HTTPConnection(urlsplit(endpoint).netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode("ascii", "replace").strip()
    except (OSError, HTTPException) as error:
        raise MetadataError(f"{method} {path}: {error}") from None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise MetadataError(f"{method} {path} was answered with {answer.status}")
    return text
