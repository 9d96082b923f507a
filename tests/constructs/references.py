"""What the resources of a template need from each other."""

from typing import Any

from tests.constructs.synthesis import Template


def predecessors(template: Template, logical_id: str) -> set[str]:
    """Return what is made before a resource and deleted after it: all that it names, and so on."""
    found: set[str] = set()
    waiting = [logical_id]
    while waiting:
        resource = template.resources.get(waiting.pop(), {})
        named = {*resource.get("DependsOn", ()), *references(resource.get("Properties", {}))}
        waiting.extend(named - found)
        found |= named
    return found


def references(value: Any) -> set[str]:
    """Return the logical ids that a value refers to."""
    if isinstance(value, dict):
        if "Ref" in value:
            return {value["Ref"]}
        if "Fn::GetAtt" in value:
            return {value["Fn::GetAtt"][0]}
        return set().union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()
