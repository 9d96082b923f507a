"""Whether webhooks that may refuse objects run before these are applied."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import AppliedObject, ClusterContents

_KINDS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name"""


def check_webhooks(contents: ClusterContents, problems: Problems) -> None:
    """Note webhooks of charts that nobody waits for, and that refuse objects until they run.

    Objects of templates are meant, whose deployment fails then. Pods that others make for them are
    tried again.
    """
    hasty = {release.chart for release in contents.releases if not release.waits}
    for configuration in contents.of_kind(*_KINDS):
        if configuration.chart in hasty:
            _check_configuration(configuration, contents, problems)


def _check_configuration(
    configuration: AppliedObject, contents: ClusterContents, problems: Problems
) -> None:
    for webhook in configuration.body.get("webhooks", ()):
        # https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy
        if webhook.get("failurePolicy", "Fail") != "Fail":
            continue
        guarded = [
            made.title
            for made in contents.objects
            if made.chart is None and _guards(webhook, made, contents)
        ]
        problems.require(
            not guarded,
            configuration.title,
            guarded[:3],
            f"Its webhook {webhook['name']} refuses such objects until its pods answer, and "
            "nothing waits for them.",
            "Install the chart with `wait=True`, and the objects after it.",
        )


def _guards(webhook: Mapping[str, Any], made: AppliedObject, contents: ClusterContents) -> bool:
    return (
        any(_matches(rule, made) for rule in webhook.get("rules", ()))
        and _selects(webhook.get("objectSelector", {}), made.body["metadata"].get("labels", {}))
        and _selects(
            webhook.get("namespaceSelector", {}), _labels_of_namespace(made.namespace, contents)
        )
    )


def _matches(rule: Mapping[str, Any], made: AppliedObject) -> bool:
    names = {"*", "*/*", _plural(made.kind.lower())}
    return (
        bool({"*", made.group} & set(rule.get("apiGroups", ())))
        and bool(names & set(rule.get("resources", ())))
        and bool({"*", "CREATE", "UPDATE"} & set(rule.get("operations", ())))
    )


def _plural(name: str) -> str:
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    if name.endswith("ss"):
        return f"{name}es"
    return name if name.endswith("s") else f"{name}s"


def _labels_of_namespace(namespace: str | None, contents: ClusterContents) -> Mapping[str, str]:
    if namespace is None:
        return {}
    labels = {_NAMESPACE_LABEL: namespace}
    for made in contents.of_kind("Namespace"):
        if made.name == namespace:
            labels |= made.body["metadata"].get("labels", {})
    return labels


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether a label selector fits, an empty one among them.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    exact: Mapping[str, str] = selector.get("matchLabels", {})
    return exact.items() <= labels.items() and all(
        met == (each["operator"] in ("In", "Exists"))
        for each, met in _expressions(selector, labels)
    )


def _expressions(
    selector: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield each expression, and whether the label is there, with one of its values if any."""
    for each in selector.get("matchExpressions", ()):
        values = each.get("values")
        yield each, each["key"] in labels and (not values or labels[each["key"]] in values)
