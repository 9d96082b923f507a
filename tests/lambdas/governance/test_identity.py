"""How a request's credential is found, and to whom it is handed."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from gateway.governance.identity import (
    Caller,
    CredentialRouter,
    Unauthenticated,
    credential,
    permitted_models,
)


@dataclass
class Named:
    """An authenticator that answers with its own name."""

    name: str

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        return Caller(self.name, credential(headers), None, "off")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer k"},
        {"authorization": "bearer  k "},
        {"X-API-Key": "k"},
        {"Authorization": "Basic eDp5", "x-api-key": "k"},
    ],
)
def test_credentials_of_openai_and_anthropic_clients_are_found(headers: dict[str, str]) -> None:
    assert credential(headers) == "k"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"x-api-key": " "}])
def test_a_request_without_credential_is_told_how_to_send_one(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated, match="Authorization: Bearer"):
        credential(headers)


@pytest.mark.parametrize(("text", "name"), [("lp_a_b", "keys"), ("a.b.c", "tokens")])
def test_keys_and_tokens_go_to_their_own_authenticators(text: str, name: str) -> None:
    router = CredentialRouter(keys=Named("keys"), tokens=Named("tokens"))
    assert router.authenticate({"x-api-key": text}).key_id == name


@pytest.mark.parametrize("text", ["a.b.c", "something"])
def test_what_nobody_accepts_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        CredentialRouter(keys=Named("keys")).authenticate({"x-api-key": text})
    assert text not in str(caught.value)


def test_only_models_that_every_list_names_are_permitted() -> None:
    assert permitted_models(None, None) is None
    assert permitted_models(("a", "b"), None) == frozenset({"a", "b"})
    assert permitted_models(("a", "b"), ("b", "c")) == frozenset({"b"})
    assert permitted_models((), ("b",)) == frozenset()
