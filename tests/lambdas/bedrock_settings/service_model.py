"""The part of botocore's model of Bedrock that the function carries with it.

``python -m tests.lambdas.bedrock_settings.service_model`` writes it anew.
"""

import json
from collections.abc import Iterator
from typing import Any

import botocore.session

from bedrock_settings.handler import SERVICE_MODELS
from ops.fake_bedrock.control_plane import OPERATIONS

API_VERSION = "2023-04-20"
CARRIED = SERVICE_MODELS / "bedrock" / API_VERSION / "service-2.json"


def expected() -> dict[str, Any]:
    """Return what the installed botocore says of the operations, without its prose."""
    whole = botocore.session.get_session().get_component("data_loader")
    model = whole.load_service_model("bedrock", "service-2")
    operations = {name: model["operations"][name] for name in OPERATIONS}
    shapes = dict(_reachable(operations, model["shapes"]))
    part: dict[str, Any] = _without_prose(
        {
            "version": model["version"],
            "metadata": model["metadata"],
            "operations": operations,
            "shapes": dict(sorted(shapes.items())),
        }
    )
    return part


def written() -> str:
    """Return the text that the file should hold."""
    return json.dumps(expected(), indent=1, sort_keys=True) + "\n"


def _reachable(value: Any, shapes: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        name = value.get("shape")
        if isinstance(name, str):
            yield name, shapes[name]
            yield from _reachable(shapes[name], shapes)
        for item in value.values():
            yield from _reachable(item, shapes)
    elif isinstance(value, list):
        for item in value:
            yield from _reachable(item, shapes)


def _without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_prose(v) for k, v in value.items() if k != "documentation"}
    return [_without_prose(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    CARRIED.parent.mkdir(parents=True, exist_ok=True)
    CARRIED.write_text(written())
