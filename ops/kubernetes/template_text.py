"""Texts of templates with their references resolved, as far as a template can tell."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ops.assembly import SynthesisedStack

_ID_PREFIXES: Final[Mapping[tuple[str, str], str]] = {
    ("AWS::EC2::Subnet", "Ref"): "subnet-",
    ("AWS::EC2::SecurityGroup", "GroupId"): "sg-",
    ("AWS::EKS::Cluster", "ClusterSecurityGroupId"): "sg-",
    ("AWS::EC2::VPC", "Ref"): "vpc-",
    ("AWS::FSx::FileSystem", "Ref"): "fs-",
}
"""What the ids begin with that AWS gives, by resource type and attribute."""

_ACCOUNT: Final = "111111111111"

_DIGITS: Final = 17
"""Hexadecimal digits of an id of EC2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
"""


class Templates:
    """The templates of an assembly, whose stacks may refer to each other."""

    def __init__(self, found: Sequence[SynthesisedStack]) -> None:
        self._bodies = {stack.name: stack.template for stack in found}
        self._regions = {stack.name: stack.region for stack in found}

    def of_type(self, stack: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield logical id and properties of a stack's resources of one type."""
        for logical_id, resource in self._bodies[stack].get("Resources", {}).items():
            if resource["Type"] == kind:
                yield logical_id, resource.get("Properties", {})

    def text(self, stack: str, value: Any) -> str:
        """Return a string of ``stack`` with something of the right shape for every reference.

        Ids look like those of AWS, so that what is checked by a pattern passes; the same reference
        always gives the same text.
        """
        match value:
            case str():
                return value
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(self.text(stack, part) for part in parts)
            case {"Fn::GetStackOutput": {"StackName": other, "OutputName": output}}:
                return self._output(other, output)
            case {"Ref": name}:
                return self._stand_in(stack, name, "Ref")
            case {"Fn::GetAtt": [name, attribute]}:
                return self._stand_in(stack, name, attribute)
        return "unknown"

    def _output(self, stack: str, name: str) -> str:
        outputs = self._bodies.get(stack, {}).get("Outputs", {})
        return self.text(stack, outputs[name]["Value"]) if name in outputs else "unknown"

    def _stand_in(self, stack: str, name: str, attribute: str) -> str:
        pseudo = {
            "AWS::Region": self._regions[stack],
            "AWS::AccountId": _ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        kind = self._bodies[stack].get("Resources", {}).get(name, {}).get("Type", "")
        digest = hashlib.sha256(f"{stack} {name} {attribute}".encode()).hexdigest()
        prefix = _ID_PREFIXES.get((kind, attribute))
        if prefix is not None:
            return f"{prefix}{digest[:_DIGITS]}"
        if attribute.endswith("Arn") or kind in _ARNS_BY_REF:
            service = kind.split("::")[1].lower() if kind else "service"
            return f"arn:aws:{service}:{self._regions[stack]}:{_ACCOUNT}:{name.lower()}"
        return name.lower()


_ARNS_BY_REF: Final = frozenset(
    {"AWS::SecretsManager::Secret", "AWS::ElasticLoadBalancingV2::TargetGroup"}
)
"""Types whose ``Ref`` is an ARN."""
