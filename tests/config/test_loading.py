"""Environments' files: the good ones load, the wrong ones are told what is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError, environment_names, load, load_selected
from llm_constructs.specs.network import Capability, NatGateways
from llm_constructs.specs.residency import Residency
from tests.minimal_environment import (
    EXISTING_VPC,
    loaded,
    minimal_with_accelerators,
    problems_of,
)

GOOD = f"{minimal_with_accelerators('us-west-2')}\n[data]\n\n[lustre]\n"


def gateway(model: str, setting: str = "") -> str:
    return f'[gateway]\n{setting}\n[[gateway.models]]\nalias = "smart"\n{model}\n'


HAIKU = gateway('model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"')


DOMAIN = '[network.domain]\nname = "a.example.com"\nhosted_zone_id = "Z0123456789"\n'
SERVICE = (
    '[gateway.service]\nrepository = "llm/gateway"\nversion = "1.4.0"\n'
    'client_cidrs = ["10.0.0.0/8"]\n'
)


def service(old: str = "", new: str = "", *, domain: str = DOMAIN) -> str:
    assert not old or SERVICE.count(old) == 1, f"{old!r} must occur once"
    return GOOD + domain + HAIKU + (SERVICE.replace(old, new) if old else SERVICE)


def replaced(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} must occur once"
    return GOOD.replace(old, new)


def with_existing_vpc(old: str = "", new: str = "") -> str:
    start, rest = GOOD.split("[network.vpc]", 1)
    vpc = EXISTING_VPC.replace(old, new) if old else EXISTING_VPC
    return start + vpc + rest[rest.index("[data]") :]


def test_a_minimal_file_has_designed_defaults(tmp_path: Path) -> None:
    environment = loaded(tmp_path, GOOD)

    assert environment.name == "team"
    assert environment.retain_data is True
    assert environment.network.vpc is not None
    assert environment.network.vpc.nat_gateways is NatGateways.ONE
    assert environment.network.flow_logs.retention_days == 365
    assert environment.capabilities == frozenset()
    assert environment.lustre is not None
    assert [repository.path for repository in environment.lustre.repositories] == [
        "/datasets",
        "/checkpoints",
    ]


def test_an_existing_vpc_replaces_the_one_to_make(tmp_path: Path) -> None:
    environment = loaded(tmp_path, with_existing_vpc())

    assert environment.network.vpc is None
    assert environment.network.chosen_vpc.accelerator_zone == "us-west-2b"


def test_capabilities_come_from_the_file(tmp_path: Path) -> None:
    text = replaced("[network.vpc]", '[network]\nendpoints_for = ["gateway"]\n\n[network.vpc]')
    assert loaded(tmp_path, text).capabilities == {Capability.GATEWAY}


def test_a_gateway_turns_its_capability_on(tmp_path: Path) -> None:
    text = GOOD + gateway('model_id = "us.anthropic.claude-sonnet-4-6"')
    environment = loaded(tmp_path, text)
    assert environment.capabilities == {Capability.GATEWAY}
    assert environment.gateway is not None
    assert environment.gateway.residency is Residency.GEO
    assert environment.gateway.authorizer_cache_seconds == 300


def test_a_container_service_turns_on_the_endpoints_of_its_image(tmp_path: Path) -> None:
    environment = loaded(tmp_path, service())
    assert environment.capabilities == {Capability.GATEWAY, Capability.GATEWAY_SERVICE}


def test_a_public_service_may_stand_in_the_public_subnets_of_an_existing_vpc(
    tmp_path: Path,
) -> None:
    public = 'public_subnet_ids = ["subnet-0123456789abcdef3", "subnet-0123456789abcdef4"]\n'
    vpc = with_existing_vpc("private_subnet_ids", f"{public}private_subnet_ids")
    text = vpc + DOMAIN + HAIKU + SERVICE + "internet_facing = true\n"
    assert loaded(tmp_path, text).network.chosen_vpc.has_public_subnets
    assert "no public subnets" in problems_of(tmp_path, text.replace(public, ""))


@pytest.mark.parametrize("name", environment_names())
def test_the_projects_own_files_load(name: str) -> None:
    assert load(name).name == name


def test_all_selects_every_environment() -> None:
    names = [environment.name for environment in load_selected("all")]
    assert names == ["dev", "local", "prod", "staging"]


WRONG: dict[str, tuple[str, str]] = {
    "not-toml": (
        replaced('region = "us-west-2"', "region = us-west-2"),
        r"It is not TOML: .*line 3",
    ),
    "key-twice": (replaced("[data]", 'region = "eu-west-1"\n[data]\n[data]'), r"It is not TOML"),
    "missing-account": (
        replaced('account = "111111111111"\n', ""),
        r"account: It is required and missing\. Add account = … at the top",
    ),
    "missing-cidr": (
        replaced('cidr = "10.40.0.0/16"\n', ""),
        r"network\.vpc\.cidr: It is required and missing\. Add cidr = … to \[network\.vpc\]",
    ),
    "misspelt-key": (
        replaced("[data]", "[dta]"),
        r"dta = \{\}: There is no such key here\. Did you mean data\?",
    ),
    "misspelt-nested-key": (
        replaced("accelerator_zone", "acelerator_zone"),
        r"network\.vpc\.acelerator_zone = 'us-west-2b': .* Did you mean accelerator_zone\?",
    ),
    "key-in-repository": (
        GOOD + '[[lustre.repositories]]\npath = "/a"\ndata = "raw"\nevents = []\n',
        r"lustre\.repositories\.0\.events = \[\]: .* The keys here are data, export_events",
    ),
    "account-as-number": (
        replaced('"111111111111"', "111111111111"),
        r"account = 111111111111: It must be text\. Write it in quotes",
    ),
    "account-too-short": (
        replaced('"111111111111"', '"1111"'),
        r"account = '1111': An AWS account id has twelve digits",
    ),
    "unknown-region": (
        replaced('region = "us-west-2"', 'region = "us-west-9"'),
        r"region = 'us-west-9': It is not a region that the platform knows\. Choose one of",
    ),
    "unknown-jurisdiction": (
        replaced('"us"', '"mars"'),
        r"jurisdiction = 'mars': It is not one of the choices\. Choose 'us'",
    ),
    "wrong-jurisdiction": (
        replaced('"us"', '"eu"'),
        r"jurisdiction = 'eu': us-west-2 lies in the jurisdiction us",
    ),
    "retain-as-text": (
        replaced('jurisdiction = "us"', 'jurisdiction = "us"\nretain_data = "no"'),
        r"retain_data = 'no': It must be a truth value\. Write true or false",
    ),
    "tags-missing": (
        replaced('owner = "ml-platform"\n', ""),
        r"tags\.owner: The tag is missing.* Add owner",
    ),
    "tag-of-aws": (
        replaced("[tags]", '[tags]\n"aws:team" = "a"'),
        r"tags\.aws:team = 'a': AWS does not accept this tag key",
    ),
    "tag-empty": (
        replaced('"research"', '""'),
        r"tags\.cost-center = '': AWS does not accept this tag value",
    ),
    "tag-as-number": (
        replaced('"research"', "7"),
        r"tags\.cost-center = 7: It must be text",
    ),
    "no-vpc": (
        replaced("[network.vpc]", "[network.vcp]"),
        r"network\.vcp = .*Did you mean vpc\?",
    ),
    "neither-vpc": (
        GOOD.split("[network.vpc]", maxsplit=1)[0] + "[network]\n",
        r"network = 'neither of \[network\.vpc\] and \[network\.existing_vpc\]'",
    ),
    "both-vpcs": (
        GOOD + EXISTING_VPC,
        r"network = 'both of .*: The platform runs in exactly one VPC",
    ),
    "cidr-no-network": (
        replaced("10.40.0.0/16", "10.40.0.1/16"),
        r"network\.vpc\.cidr = '10\.40\.0\.1/16': It is not an IPv4 network",
    ),
    "cidr-too-small": (
        replaced("10.40.0.0/16", "10.40.0.0/20"),
        r"network\.vpc\.cidr = .*A VPC of this plan is a /16 to a /18",
    ),
    "cidr-public": (
        replaced("10.40.0.0/16", "52.10.0.0/16"),
        r"network\.vpc\.cidr = '52\.10\.0\.0/16': It is a public range",
    ),
    "cidr-docker": (
        replaced("10.40.0.0/16", "172.17.0.0/16"),
        r"network\.vpc\.cidr = .*Docker's bridge",
    ),
    "one-zone": (
        replaced('["us-west-2a", "us-west-2b"]', '["us-west-2b"]'),
        r"network\.vpc\.availability_zones = .*There are 1 zones",
    ),
    "four-zones": (
        replaced('"us-west-2a",', '"us-west-2a", "us-west-2c", "us-west-2d",'),
        r"network\.vpc\.availability_zones = .*There are 4 zones",
    ),
    "zone-twice": (
        replaced('"us-west-2a",', '"us-west-2b",'),
        r"network\.vpc\.availability_zones = .*A zone is named twice",
    ),
    "zone-elsewhere": (
        replaced('"us-west-2a",', '"us-east-1a",'),
        r"network\.availability_zones = 'us-east-1a': It is not a zone of us-west-2",
    ),
    "zones-as-text": (
        replaced('["us-west-2a", "us-west-2b"]', '"us-west-2b"'),
        r"network\.vpc\.availability_zones = 'us-west-2b': It must be a list",
    ),
    "accelerator-zone-outside": (
        replaced('accelerator_zone = "us-west-2b"', 'accelerator_zone = "us-west-2c"'),
        r"network\.vpc\.accelerator_zone = 'us-west-2c': .* Choose one of us-west-2a, us-west-2b",
    ),
    "nat-unknown": (
        replaced("[data]", 'nat_gateways = "two"\n[data]'),
        r"network\.vpc\.nat_gateways = 'two': It is not one of the choices",
    ),
    "capability-unknown": (
        replaced("[network.vpc]", '[network]\nendpoints_for = ["chat"]\n[network.vpc]'),
        r"network\.endpoints_for\.0 = 'chat': It is not one of the choices",
    ),
    "flow-log-days": (
        replaced("[data]", "[network.flow_logs]\nretention_days = 100\n[data]"),
        r"network\.flow_logs\.retention_days = 100: .*The nearest is 90",
    ),
    "flow-log-days-s3": (
        replaced("[data]", '[network.flow_logs]\ndestination = "s3"\nretention_days = 0\n[data]'),
        r"network\.flow_logs\.retention_days = 0: Objects cannot expire",
    ),
    "domain-upper-case": (
        replaced(
            "[data]", '[network.domain]\nname = "LLM"\nhosted_zone_id = "Z0123456789"\n[data]'
        ),
        r"network\.domain\.name = 'LLM': It is not a domain name in lower case",
    ),
    "hosted-zone-id": (
        replaced(
            "[data]",
            '[network.domain]\nname = "a.example.com"\nhosted_zone_id = "/hostedzone/Z1"\n[data]',
        ),
        r"network\.domain\.hosted_zone_id = '/hostedzone/Z1': .* without its prefix",
    ),
    "domain-outside-zone": (
        replaced(
            "[data]",
            '[network.domain]\nname = "a.example.com"\nhosted_zone_name = "example.org"\n'
            'hosted_zone_id = "Z0123456789"\n[data]',
        ),
        r"network\.domain\.name = 'a\.example\.com': It does not lie in the hosted zone",
    ),
    "vpc-id": (
        with_existing_vpc("vpc-0123456789abcdef0", "my-vpc"),
        r"network\.existing_vpc\.vpc_id = 'my-vpc': It is not the id of a VPC",
    ),
    "subnet-count": (
        with_existing_vpc(', "subnet-0123456789abcdef1"', ""),
        r"network\.existing_vpc\.private_subnet_ids = .*There are 1 subnets for 2 zones",
    ),
    "subnet-id": (
        with_existing_vpc("subnet-0123456789abcdef2", "sn-2"),
        r"network\.existing_vpc\.subnet_ids = 'sn-2': It is not the id of a subnet",
    ),
    "no-route-tables": (
        with_existing_vpc('route_table_ids = ["rtb-0123456789abcdef0"]', ""),
        r"network\.existing_vpc\.route_table_ids = \[\]: .*set endpoints = false",
    ),
    "accelerator-half": (
        with_existing_vpc('accelerator_zone = "us-west-2b"', ""),
        r"network\.existing_vpc\.accelerator_zone: .* Give both or neither",
    ),
    "retention-zero": (
        replaced("[data]", "[data.retention]\nlogs_days = 0"),
        r"data\.retention\.logs_days = 0: Objects cannot expire",
    ),
    "checkpoints-too-soon": (
        replaced("[data]", "[data.retention]\ncheckpoints_days = 7"),
        r"data\.retention\.checkpoints_days = 7: .* Give at least 30",
    ),
    "replica-abroad": (
        replaced("[data]", '[data.replication]\nregion = "eu-west-1"'),
        r"data\.replication\.region = 'eu-west-1': The copy would leave .* Choose one of",
    ),
    "replica-at-home": (
        replaced("[data]", '[data.replication]\nregion = "us-west-2"'),
        r"data\.replication\.region = 'us-west-2': A copy in the same region is lost with it",
    ),
    "replica-of-nothing": (
        replaced("[data]", '[data.replication]\nregion = "us-east-2"\ndata_classes = []'),
        r"data\.replication\.data_classes = \[\]: .*Choose from corpus, artifacts, logs",
    ),
    "lustre-size": (
        replaced("[lustre]", "[lustre]\ncapacity_gib = 3600"),
        r"lustre\.capacity_gib = 3600: ",
    ),
    "lustre-size-as-float": (
        replaced("[lustre]", "[lustre]\ncapacity_gib = 2400.5"),
        r"lustre\.capacity_gib = 2400\.5: ",
    ),
    "lustre-without-zone": (
        replaced('accelerator_zone = "us-west-2b"\n', ""),
        r"lustre: The file system lives in the accelerator subnet, and the network has none",
    ),
    "lustre-without-lake": (
        replaced("[data]\n", ""),
        r"lustre\.repositories = .*this environment has no lake",
    ),
    "lustre-area": (
        GOOD + '[[lustre.repositories]]\npath = "/a"\ndata = "photos"\n',
        r"lustre\.repositories\.0\.data = 'photos': The lake has no such area\. Choose one of raw",
    ),
    "model-of-another-jurisdiction": (
        GOOD + gateway('model_id = "eu.anthropic.claude-sonnet-4-6"'),
        r"gateway\.models\.0\.model_id = 'eu\.anthropic\.claude-sonnet-4-6': Profiles that begin",
    ),
    "model-of-the-whole-world": (
        GOOD + gateway('model_id = "global.anthropic.claude-sonnet-4-6"'),
        r"gateway\.models\.0\.model_id = 'global\..* Use us\.anthropic\.claude-sonnet-4-6",
    ),
    "model-out-of-the-region": (
        GOOD + gateway('model_id = "us.anthropic.claude-sonnet-4-6"', 'residency = "region"'),
        r"gateway\.models\.0\.model_id = 'us\..*the residency is region",
    ),
    "model-without-price": (
        GOOD + gateway('model_id = "meta.llama3-3-70b-instruct-v1:0"'),
        r"gateway\.models\.0\.price: It is not known of meta\.llama3-3-70b-instruct-v1:0",
    ),
    "served-by-nobody": (
        GOOD
        + gateway(
            'served_by = "qwen3"\ncontext_tokens = 9\nmax_output_tokens = 9\n'
            "default_output_tokens = 9\nprice = { input = 1, output = 1 }"
        ),
        r"gateway\.models\.0\.served_by = 'qwen3': \[serving\] has no model of this name\.",
    ),
    "served-without-price": (
        GOOD + gateway('served_by = "qwen3"'),
        r"gateway\.models\.0\.price: It is not known of qwen3, and budgets need it\.",
    ),
    "served-and-on-bedrock": (
        GOOD + gateway('served_by = "qwen3"\nmodel_id = "us.anthropic.claude-sonnet-4-6"'),
        r"gateway\.models\.0\.model_id = 'us.*Give either model_id or served_by\.",
    ),
    "model-id-missing": (
        GOOD + gateway(""),
        r"gateway\.models\.0\.model_id: A model answers on .* Give either model_id or served_by\.",
    ),
    "model-key-misspelt": (
        GOOD + gateway('modelid = "a"\nmodel_id = "us.anthropic.claude-sonnet-4-6"'),
        r"gateway\.models\.0\.modelid = 'a': There is no such key here\. Did you mean model_id\?",
    ),
    "gateway-without-models": (
        GOOD + "[gateway]\n",
        r"gateway\.models: It is required and missing",
    ),
    "residency-unknown": (
        GOOD + gateway('model_id = "us.anthropic.claude-sonnet-4-6"', 'residency = "moon"'),
        r"gateway\.residency = 'moon': It is not one of the choices",
    ),
    "fallback-unknown": (
        GOOD + gateway('model_id = "us.anthropic.claude-sonnet-4-6"\nfallbacks = ["big"]'),
        r"gateway\.models\.0\.fallbacks = \['big'\]: No chat model",
    ),
    "tokens-without-internet": (
        replaced("[data]", 'nat_gateways = "none"\n[data]')
        + gateway('model_id = "us.anthropic.claude-sonnet-4-6"')
        + '[gateway.oidc]\nissuer = "https://id.example.com"\naudiences = ["chat"]\n',
        r"gateway\.oidc = 'https://id\.example\.com': The authoriser fetches the issuer's keys",
    ),
    "tokens-without-tls": (
        GOOD
        + gateway('model_id = "us.anthropic.claude-sonnet-4-6"')
        + '[gateway.oidc]\nissuer = "http://id.example.com"\naudiences = ["chat"]\n',
        r"gateway\.oidc\.issuer = 'http://id\.example\.com': Keys that were not fetched over TLS",
    ),
    "guardrail-data-unknown": (
        GOOD
        + gateway('model_id = "us.anthropic.claude-sonnet-4-6"')
        + '[gateway.guardrail]\nmasked_pii = ["SHOE_SIZE"]\n',
        r"gateway\.guardrail\.masked_pii = \['SHOE_SIZE'\]: Bedrock's guardrails know no such kind",
    ),
    "log-destination-unknown": (
        GOOD + HAIKU + '[gateway.invocation_logging]\ndestinations = ["kafka"]\n',
        r"gateway\.invocation_logging\.destinations\.0 = 'kafka': .* Choose 'cloudwatch' or 's3'",
    ),
    "log-destinations-as-text": (
        GOOD + HAIKU + '[gateway.invocation_logging]\ndestinations = "s3"\n',
        r"gateway\.invocation_logging\.destinations = 's3': It must be a list",
    ),
    "logs-without-destination": (
        GOOD + HAIKU + "[gateway.invocation_logging]\ndestinations = []\n",
        r"gateway\.invocation_logging\.destinations = \[\]: Logs without a destination",
    ),
    "logged-images-without-bucket": (
        GOOD
        + HAIKU
        + '[gateway.invocation_logging]\ndestinations = ["cloudwatch"]\ndata = ["image"]\n',
        r"gateway\.invocation_logging\.data = \['image'\]: Bedrock writes binary data to S3 only",
    ),
    "logged-for-odd-days": (
        GOOD + HAIKU + "[gateway.invocation_logging]\nretention_days = 100\n",
        r"gateway\.invocation_logging\.retention_days = 100: CloudWatch Logs keeps",
    ),
    "earlier-logging-by-a-user": (
        GOOD
        + HAIKU
        + "[gateway.invocation_logging]\n"
        + 'earlier_role_arns = ["arn:aws:iam::111111111111:user/a"]\n',
        r"gateway\.invocation_logging\.earlier_role_arns = 'arn:.*:user/a': .* not the ARN of one",
    ),
    "retention-mode-missing": (
        GOOD + HAIKU + "[gateway.data_retention]\n",
        r"gateway\.data_retention\.mode: It is required and missing",
    ),
    "retention-mode-unknown": (
        GOOD + HAIKU + '[gateway.data_retention]\nmode = "forever"\n',
        r"gateway\.data_retention\.mode = 'forever': It is not .*\. Choose 'inherit'",
    ),
    "service-without-certificate": (
        service(domain=""),
        r"gateway\.service\.domain_prefix = 'service': The load balancer speaks nothing but TLS",
    ),
    "service-under-the-name-of-the-api": (
        service() + 'domain_prefix = "api"\n',
        r"gateway\.service\.domain_prefix = 'api': It is the name of the API",
    ),
    "service-under-two-labels": (
        service() + 'domain_prefix = "a.b"\n',
        r"gateway\.service\.domain_prefix = 'a\.b': It is not one label",
    ),
    "service-of-a-whole-address": (
        service("llm/gateway", "111111111111.dkr.example.com/Gateway"),
        r"gateway\.service\.repository = .*It is not the name of an ECR repository",
    ),
    "service-of-whatever-is-latest": (
        service("1.4.0", "latest"),
        r"gateway\.service\.version = 'latest': It names no image, or another one after each push",
    ),
    "service-of-half-a-digest": (
        service("1.4.0", "sha256:abc"),
        r"gateway\.service\.version = 'sha256:abc': It names no image",
    ),
    "service-for-nobody": (
        service('"10.0.0.0/8"', ""),
        r"gateway\.service\.client_cidrs = \[\]: Nobody could connect",
    ),
    "service-for-everybody": (
        service("10.0.0.0/8", "0.0.0.0/0"),
        r"gateway\.service\.client_cidrs = '0\.0\.0\.0/0': .* it is every address there is",
    ),
    "service-for-half-a-network": (
        service("10.0.0.0/8", "10.0.0.1/8"),
        r"gateway\.service\.client_cidrs = '10\.0\.0\.1/8': It is not an IPv4 network",
    ),
    "service-for-a-named-group": (
        service() + 'client_security_groups = ["default"]\n',
        r"gateway\.service\.client_security_groups = 'default': It is not the id",
    ),
    "service-of-odd-size": (
        service() + "[gateway.service.capacity]\ncpu = 1000\n",
        r"gateway\.service\.capacity\.cpu = 1000: Fargate has no tasks of this size",
    ),
    "service-in-public-without-public-subnets": (
        service().replace("[data]", 'nat_gateways = "closed"\n[data]') + "internet_facing = true\n",
        r"gateway\.service\.internet_facing = True: The network has no public subnets",
    ),
    "service-of-too-many-models": (
        GOOD
        + DOMAIN
        + HAIKU
        + "".join(
            f'[[gateway.models]]\nalias = "m{number}"\n'
            'model_id = "us.anthropic.claude-haiku-4-5-20251001-v1:0"\n'
            for number in range(80)
        )
        + SERVICE,
        r"gateway\.models = '81 models': Their catalogue has \d+ characters",
    ),
    "table-as-text": (
        replaced("[data]\n", "").replace("[tags]", 'data = "s3"\n[tags]'),
        r"data = 's3': It must be a table",
    ),
}


def test_at_least_thirty_mistakes_are_known() -> None:
    assert len(WRONG) >= 30


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_file_is_told_what_is_wrong(mistake: str, tmp_path: Path) -> None:
    text, expected = WRONG[mistake]

    message = problems_of(tmp_path, text)

    assert re.search(expected, message), message
    for line in message.splitlines():
        assert re.fullmatch(r"team\.toml: .+[.!?]", line), f"not a sentence: {line}"


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('"111111111111"', '"1"')
        .replace("10.40.0.0/16", "52.10.0.0/20")
        .replace("[lustre]", "[lustre]\ncapacity_gib = 1300\nthroughput_mbps_per_tib = 99")
    )

    lines = problems_of(tmp_path, text).splitlines()

    keys = [re.match(r"team\.toml: (\S+) = ", line) for line in lines]
    assert {match.group(1) for match in keys if match} == {
        "account",
        "network.vpc.cidr",
        "lustre.capacity_gib",
        "lustre.throughput_mbps_per_tib",
    }
    assert sum("network.vpc.cidr" in line for line in lines) == 2


def test_an_unknown_environment_is_told_which_exist(tmp_path: Path) -> None:
    loaded(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=r"'qa': There is no such environment\. Choose team, all"):
        load("qa", tmp_path)


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    loaded(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="There is no such environment"):
        load("../team", inner)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_bytes(b'region = "\xff\xfe"')
    with pytest.raises(ConfigError, match="It is not UTF-8 text"):
        load("team", tmp_path)


def test_the_good_file_of_these_tests_is_what_toml_reads() -> None:
    content: dict[str, Any] = tomllib.loads(GOOD)
    assert content["network"]["vpc"]["accelerator_zone"] == "us-west-2b"
