"""On-demand prices of instances from the AWS Price List, as it is today."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from ops.aws_account import GLOBAL_REGION, Account, Call
from ops.price.rates import Rate, today

GET_PRODUCTS: Final = Call("pricing", "GetProducts")

INSTANCE_UNIT: Final = "-hour"

# A plain Linux instance, shared hardware, paid while it runs:
# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api-example.html
_FILTERS: Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


class PriceList:
    """Asks the Price List for units such as ``p5en.48xlarge-hour``; it knows nothing of others."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __call__(self, unit: str, region: str) -> Rate | None:
        """Return the price, ``None`` for other units and for what the list does not have.

        Raises :class:`~ops.aws_account.RefusedError`.
        """
        instance_type = unit.removesuffix(INSTANCE_UNIT)
        if "." not in instance_type or instance_type == unit:
            return None
        filters = {**_FILTERS, "instanceType": instance_type, "regionCode": region}
        products = self._account.items(
            GET_PRODUCTS,
            "PriceList",
            region=GLOBAL_REGION,
            ServiceCode="AmazonEC2",
            FormatVersion="aws_v1",
            Filters=[
                {"Type": "TERM_MATCH", "Field": name, "Value": value}
                for name, value in filters.items()
            ],
        )
        prices = {price for product in products for price in _prices(json.loads(product))}
        # More than one would mean that the filters do not tell products apart: better none.
        if len(prices) != 1:
            return None
        ((usd, version),) = prices
        return Rate(unit, region, usd, f"AWS Price List, {version}", today())


def _prices(product: dict[str, Any]) -> Iterator[tuple[Decimal, str]]:
    version = _day(str(product.get("publicationDate", "")))
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            usd = Decimal(dimension.get("pricePerUnit", {}).get("USD", "0"))
            if dimension.get("unit") == "Hrs" and usd > 0:
                yield usd, version


def _day(published: str) -> str:
    try:
        return datetime.fromisoformat(published).date().isoformat()
    except ValueError:
        return "undated"
