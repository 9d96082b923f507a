"""The part of botocore's model that travels with the function."""

import botocore.session
import pytest

from bedrock_settings.handler import SERVICE_MODELS
from ops.fake_bedrock.control_plane import OPERATIONS
from tests.lambdas.bedrock_settings.service_model import API_VERSION, CARRIED, written


def test_the_carried_model_is_botocores() -> None:
    assert CARRIED.read_text() == written(), (
        "Write it anew: PYTHONPATH=.:lambdas python -m tests.lambdas.bedrock_settings.service_model"
    )


def test_the_carried_model_goes_before_the_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    session = botocore.session.get_session()
    session.set_config_variable("data_path", str(SERVICE_MODELS))
    model = session.get_service_model("bedrock")
    assert sorted(model.operation_names) == list(OPERATIONS)
    assert model.metadata["apiVersion"] == API_VERSION
