"""The regions that the platform knows, and the jurisdiction that each lies in."""

from enum import StrEnum


class Jurisdiction(StrEnum):
    """Whose law governs data that never leaves a region.

    It is what an environment promises about residency: replicas, model profiles and endpoints stay
    inside it.
    """

    US = "us"
    US_GOV = "us-gov"
    EU = "eu"
    UK = "uk"
    SWITZERLAND = "ch"
    CANADA = "ca"
    BRAZIL = "br"
    MEXICO = "mx"
    JAPAN = "jp"
    SOUTH_KOREA = "kr"
    INDIA = "in"
    AUSTRALIA = "au"
    NEW_ZEALAND = "nz"
    SINGAPORE = "sg"
    HONG_KONG = "hk"
    TAIWAN = "tw"
    INDONESIA = "id"
    MALAYSIA = "my"
    THAILAND = "th"
    ISRAEL = "il"
    UAE = "ae"
    BAHRAIN = "bh"
    SOUTH_AFRICA = "za"


REGIONS: dict[str, Jurisdiction] = {
    "us-east-1": Jurisdiction.US,
    "us-east-2": Jurisdiction.US,
    "us-west-1": Jurisdiction.US,
    "us-west-2": Jurisdiction.US,
    "us-gov-east-1": Jurisdiction.US_GOV,
    "us-gov-west-1": Jurisdiction.US_GOV,
    "eu-central-1": Jurisdiction.EU,
    "eu-north-1": Jurisdiction.EU,
    "eu-south-1": Jurisdiction.EU,
    "eu-south-2": Jurisdiction.EU,
    "eu-west-1": Jurisdiction.EU,
    "eu-west-3": Jurisdiction.EU,
    "eu-west-2": Jurisdiction.UK,
    "eu-central-2": Jurisdiction.SWITZERLAND,
    "ca-central-1": Jurisdiction.CANADA,
    "ca-west-1": Jurisdiction.CANADA,
    "sa-east-1": Jurisdiction.BRAZIL,
    "mx-central-1": Jurisdiction.MEXICO,
    "ap-northeast-1": Jurisdiction.JAPAN,
    "ap-northeast-3": Jurisdiction.JAPAN,
    "ap-northeast-2": Jurisdiction.SOUTH_KOREA,
    "ap-south-1": Jurisdiction.INDIA,
    "ap-south-2": Jurisdiction.INDIA,
    "ap-southeast-2": Jurisdiction.AUSTRALIA,
    "ap-southeast-4": Jurisdiction.AUSTRALIA,
    "ap-southeast-6": Jurisdiction.NEW_ZEALAND,
    "ap-southeast-1": Jurisdiction.SINGAPORE,
    "ap-east-1": Jurisdiction.HONG_KONG,
    "ap-east-2": Jurisdiction.TAIWAN,
    "ap-southeast-3": Jurisdiction.INDONESIA,
    "ap-southeast-5": Jurisdiction.MALAYSIA,
    "ap-southeast-7": Jurisdiction.THAILAND,
    "il-central-1": Jurisdiction.ISRAEL,
    "me-central-1": Jurisdiction.UAE,
    "me-south-1": Jurisdiction.BAHRAIN,
    "af-south-1": Jurisdiction.SOUTH_AFRICA,
}
"""Regions of the partitions ``aws`` and ``aws-us-gov`` by the country (or union) they lie in.

Source: https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html. The
China and European Sovereign partitions are separate clouds, for which nothing here was checked.
"""
