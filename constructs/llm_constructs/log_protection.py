"""What CloudWatch Logs masks, should anything get past the code."""

from aws_cdk import aws_logs as logs

_IDENTIFIERS = (
    logs.DataIdentifier.AWSSECRETKEY,
    logs.DataIdentifier.CREDITCARDNUMBER,
    logs.DataIdentifier.EMAILADDRESS,
    logs.DataIdentifier.OPENSSHPRIVATEKEY,
    logs.DataIdentifier.PKCSPRIVATEKEY,
    logs.DataIdentifier.SSN_US,
)


def masked_secrets() -> logs.DataProtectionPolicy:
    """Return a policy that masks what CloudWatch recognises as a secret or as personal data."""
    return logs.DataProtectionPolicy(identifiers=[*_IDENTIFIERS])
