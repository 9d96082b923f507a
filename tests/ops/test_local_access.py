"""How a local cloud is reached."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from ops.local.access import Access, LocalCloudError, free_ports
from ops.local.certificate import make_certificate


def access(folder: Path, **given: str) -> Access:
    return Access.new(
        account="000000000000", region="us-west-2", certificate=folder / "certificate.pem", **given
    )


def test_it_is_written_for_one_user_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    made = access(tmp_path)
    made.write(file)
    assert Access.read(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "", "{", '{"port": 1}'])
def test_without_a_cloud_there_is_a_sentence(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(LocalCloudError, match="Start one with `make local`"):
        Access.read(file)


def test_two_clouds_share_neither_ports_nor_secret(tmp_path: Path) -> None:
    assert len(set(free_ports(20))) == 20
    assert access(tmp_path).secret != access(tmp_path).secret


def test_clients_use_nothing_of_the_users_own_settings(tmp_path: Path) -> None:
    made = access(tmp_path, bedrock="http://127.0.0.1:1")
    variables = made.client_environment
    assert variables["AWS_CONFIG_FILE"] == variables["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert variables["AWS_ENDPOINT_URL"] == f"https://127.0.0.1:{made.port}"
    assert made.bedrock == "http://127.0.0.1:1"


def test_the_gateways_address_is_on_loopback(tmp_path: Path) -> None:
    made = access(tmp_path)
    output = "https://a1b2c3d4.execute-api.us-west-2.amazonaws.com/live/"
    expected = f"http://127.0.0.1:{made.plain_port}/_aws/execute-api/a1b2c3d4/live"
    assert made.gateway_url(output) == expected


def test_the_certificate_is_loopbacks_and_its_key_is_for_one_user(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    names = (
        x509.load_pem_x509_certificate(certificate.read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert [str(it) for it in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
