"""Puts the application together from settings and AWS clients."""

import os
import time
from typing import Any

import botocore.session
from botocore.config import Config

from gateway.app import GatewayApplication, Parts
from gateway.backends import Backends
from gateway.bedrock import create_client
from gateway.breaker import CircuitBreaker
from gateway.embedding_service import EmbeddingService
from gateway.governance.anonymizer import GuardrailAnonymizer
from gateway.governance.api_keys import ApiKeyAuthenticator
from gateway.governance.directory import Directory
from gateway.governance.idempotency import IdempotencyStore
from gateway.governance.identity import Authenticator, CachedAuthenticator, CredentialRouter
from gateway.governance.ledger import DynamoDBLedger
from gateway.governance.oidc import OidcAuthenticator
from gateway.governance.record import RequestLog
from gateway.governance.request_context import RequestContextAuthenticator
from gateway.governance.telemetry import Telemetry, Tracing
from gateway.governance.versioned_secret import VersionedSecret
from gateway.journal import GovernedJournal, Redactors
from gateway.service import ChatService, Clock, Journal
from gateway.settings import BEHIND_API_GATEWAY, Oidc, Settings
from gateway.vllm.client import VllmClient
from gateway.vllm.keys import ServerKeys

# DynamoDB and Secrets Manager answer in milliseconds: what takes longer is better tried again.
GOVERNANCE_TIMEOUT_SECONDS = 3
GOVERNANCE_ATTEMPTS = 3
# A lease must outlive the longest call; the rest is for settling.
LEASE_MARGIN_SECONDS = 60


def create_application(
    settings: Settings, *, breaker: CircuitBreaker | None = None, clock: Clock = time.monotonic
) -> GatewayApplication:
    """Return the application; nothing is called on AWS before its first request.

    ``breaker`` is what remembers failing models; a new one by default. ``clock`` measures the
    deadlines of conversations.
    """
    dynamodb = _client("dynamodb", settings)
    directory = Directory(dynamodb, settings.directory_table)
    ledger = DynamoDBLedger(
        dynamodb,
        settings.ledger_table,
        rates=settings.catalogue.rates,
        limits=directory,
        lease_seconds=int(settings.timeouts.deadline_seconds) + LEASE_MARGIN_SECONDS,
    )
    bedrock = create_client(
        # The deadline decides; the socket's limit only frees the thread of an abandoned call.
        read_timeout_seconds=settings.timeouts.deadline_seconds + LEASE_MARGIN_SECONDS,
        connections=settings.threads,
    )
    backends = Backends(bedrock, _servers(settings), settings.guardrail)
    journal = _journal(settings, bedrock)
    return GatewayApplication(
        Parts(
            catalogue=settings.catalogue,
            authenticator=_authenticator(settings, directory),
            ledger=ledger,
            idempotency=IdempotencyStore(dynamodb, settings.ledger_table),
            chat=ChatService(
                catalogue=settings.catalogue,
                backends=backends,
                ledger=ledger,
                journal=journal,
                timeouts=settings.timeouts,
                breaker=breaker or CircuitBreaker(),
                tracing=Tracing(os.environ),
                clock=clock,
            ),
            embeddings=EmbeddingService(
                catalogue=settings.catalogue,
                backends=backends,
                ledger=ledger,
                journal=journal,
                deadline_seconds=settings.timeouts.deadline_seconds,
            ),
            largest_body=settings.largest_body,
        )
    )


def _servers(settings: Settings) -> VllmClient:
    return VllmClient(
        ServerKeys(_client("secretsmanager", settings), settings.server_keys),
        connections=settings.threads,
        read_timeout_seconds=settings.timeouts.deadline_seconds + LEASE_MARGIN_SECONDS,
    )


def _journal(settings: Settings, bedrock: Any) -> Journal:
    keys = VersionedSecret(_client("secretsmanager", settings), settings.pseudonym_secret)
    anonymizer = None
    if settings.log_guardrail:
        second = settings.log_guardrail
        anonymizer = GuardrailAnonymizer(bedrock, second.identifier, second.version)
    log = RequestLog(Redactors(keys), anonymizer=anonymizer)
    return GovernedJournal(settings.catalogue, log, Telemetry(settings.environment))


def _authenticator(settings: Settings, directory: Directory) -> Authenticator:
    if settings.identity == BEHIND_API_GATEWAY:
        return RequestContextAuthenticator(directory)
    peppers = VersionedSecret(_client("secretsmanager", settings), settings.pepper_secret)
    keys = ApiKeyAuthenticator(directory, peppers)
    tokens = _tokens(settings.oidc, directory) if settings.oidc else None
    return CachedAuthenticator(CredentialRouter(keys=keys, tokens=tokens))


def _tokens(oidc: Oidc, directory: Directory) -> OidcAuthenticator:
    return OidcAuthenticator(
        issuer=oidc.issuer,
        audiences=oidc.audiences,
        teams=directory,
        team_claim=oidc.team_claim,
    )


def _client(service: str, settings: Settings) -> Any:
    config = Config(
        connect_timeout=GOVERNANCE_TIMEOUT_SECONDS,
        read_timeout=GOVERNANCE_TIMEOUT_SECONDS,
        max_pool_connections=settings.threads,
        retries={"mode": "standard", "total_max_attempts": GOVERNANCE_ATTEMPTS},
        tcp_keepalive=True,
    )
    return botocore.session.get_session().create_client(service, config=config)
