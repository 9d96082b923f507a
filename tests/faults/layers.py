"""What each check says of a planted mistake that it does not say of what it was planted into."""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cfnlint import ConfigMixIn  # type: ignore[import-untyped]
from cfnlint.decode import decode_str  # type: ignore[import-untyped]
from cfnlint.runner import Runner  # type: ignore[import-untyped]

from config import ConfigError, load
from config.loading import DIRECTORY
from llm_constructs.specs.controller_charts import CHARTS
from llm_constructs.specs.problem import Problems
from llm_constructs.template_rules import violations_of
from ops.assembly import stacks
from ops.change_safety import compare
from ops.kubernetes.chart_files import ChartFiles
from ops.kubernetes.consistency import problems_of
from ops.kubernetes.contents import AppliedObject, ClusterContents, clusters
from ops.kubernetes.helm import Helm
from ops.kubernetes.object_schemas import ObjectSchemas
from ops.permissions import audit, encrypted_data
from ops.permissions.resolution import Resolution, ResolutionError
from ops.permissions.statement import statements
from ops.template_lint import IGNORED
from tests.assembly import Assembly
from tests.constructs.charts import write_charts
from tests.emitters import emitted
from tests.faults.cut_out import Template, cut_out
from tests.faults.fault import Fault, FileFault, ObjectFault, TemplateFault
from tests.faults.synthesis import reported
from tests.named_metrics import metrics_of_alarm
from tests.scraped_metrics import exposed, metrics_of, rules_of

LAYERS = (
    "configuration",
    "our rules",
    "rule packs",
    "CloudFormation's rules",
    "cfn-lint",
    "policies",
    "objects",
    "changes",
    "tests",
)
"""In the order in which a change meets them; docs/planted-faults.md says what each is."""

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
REGION = "us-east-2"

Caught = dict[str, set[str]]
"""By layer, what it said."""


def caught_in_files(faults: Iterable[FileFault], folder: Path) -> Iterator[tuple[Fault, Caught]]:
    """Yield what loading says of each file."""
    for fault in faults:
        text = (DIRECTORY / f"{fault.environment}.toml").read_text(encoding="utf-8")
        assert text.count(fault.old) >= 1, f"{fault.name}: {fault.old!r} is not in the file"
        (folder / f"{fault.environment}.toml").write_text(text.replace(fault.old, fault.new, 1))
        try:
            load(fault.environment, folder)
        except ConfigError as error:
            yield fault, {"configuration": {str(error).strip().splitlines()[0]}}
        else:
            yield fault, {}


def caught_in_templates(
    faults: Iterable[TemplateFault], assembly: Assembly, folder: Path
) -> Iterator[tuple[Fault, Caught]]:
    """Yield what the checks of templates say of each, that they do not say without it."""
    found = {stack.name: stack for stack in stacks(assembly.directory)}
    resolution = Resolution(found, assembly.templates)
    pairs: dict[TemplateFault, tuple[Template, Template]] = {}
    cases: dict[str, Template] = {}
    for number, fault in enumerate(faults):
        target = fault.target(assembly.templates[fault.stack])
        whole = cut_out(resolution, fault.stack, target)
        pairs[fault] = whole, fault.planted(whole, target)
        cases |= {f"Good{number}": whole, f"Bad{number}": pairs[fault][1]}
    said = reported(cases, folder)
    lint, known = Linter(), emitted(assembly.templates.values())
    for number, (fault, (good, bad)) in enumerate(pairs.items()):
        caught: defaultdict[str, set[str]] = defaultdict(set)
        for layer, rule, _ in said[f"Bad{number}"] - said[f"Good{number}"]:
            if layer != "our rules":  # which read what the CDK cannot
                caught[layer].add(rule)
        stack = found[fault.stack]
        caught["our rules"] |= _new(_violations, good, bad)
        caught["cfn-lint"] |= lint.new(good, bad)
        caught["policies"] |= _new(_policies, good, bad, stack)
        caught["changes"] |= {
            str(each.effect) for each in compare({stack.name: good}, {stack.name: bad})
        }
        caught["tests"] |= _new(_named, good, bad, known)
        yield fault, {layer: words for layer, words in caught.items() if words}


class Linter:
    """cfn-lint with its rules loaded once."""

    def __init__(self) -> None:
        self._runner = Runner(ConfigMixIn(regions=[REGION], ignore_checks=list(IGNORED)))

    def new(self, good: Template, bad: Template) -> set[str]:
        """Return the rules that find more in ``bad`` than in ``good``."""
        return set(self._rules(bad) - self._rules(good))

    def _rules(self, template: Template) -> Counter[str]:
        decoded, errors = decode_str(json.dumps(template))
        found = errors or self._runner.validate_template(decoded)
        return Counter(match.rule.id for match in found)


def _new(read: Any, good: Template, bad: Template, *given: Any) -> set[str]:
    before: set[str] = set(read(good, *given))
    return set(read(bad, *given)) - before


def _violations(template: Template) -> Iterator[str]:
    for _, kind, violation in violations_of(template["Resources"]):
        yield f"{kind} {violation.location}"


def _policies(template: Template, stack: Any) -> Iterator[str]:
    resolution = Resolution({stack.name: stack}, {stack.name: template})
    try:
        found = list(statements(resolution))
    except (ResolutionError, KeyError) as error:
        yield str(error)
        return
    for problem in (*audit.problems(found), *encrypted_data.problems(resolution, found)):
        yield re.sub(r"^\S+: ", "", problem).split(".")[0]


def _named(template: Template, known: frozenset[Any]) -> Iterator[str]:
    yield from _asked(template)
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        if not known.issuperset(metrics_of_alarm(resource["Properties"])):
            yield "test_emitted_metrics"
        described = str(resource["Properties"].get("AlarmDescription"))
        for page in re.findall(r"runbooks/([\w-]+)\.md", described):
            if not (RUNBOOKS / f"{page}.md").exists():
                yield "test_observability_stack"


def _asked(template: Template) -> Iterator[str]:
    for rule in rules_of(template):
        try:
            selected = metrics_of(rule["expr"])
        except ValueError:
            selected = set()
        if not selected or not selected <= exposed():
            yield "test_promql"


def caught_in_objects(
    faults: Iterable[ObjectFault], assembly: Assembly, folder: Path
) -> Iterator[tuple[Fault, Caught]]:
    """Yield what the checks of clusters say of each, that they do not say without it."""
    crds = os.environ.get("KUBERNETES_CRDS")
    schemas = ObjectSchemas(sorted(Path(crds).glob("*.yaml")) if crds else ())
    found = {each.name.split("-")[1]: each for each in clusters(assembly.directory)}
    said = {name: _problems(contents, schemas) for name, contents in found.items()}
    for fault in faults:
        contents = _planted(found[fault.environment], fault)
        new = _problems(contents, schemas) - said[fault.environment]
        new |= _problems_of_values(contents, found[fault.environment], folder / "charts")
        yield fault, {"objects": new} if new else {}


def _problems_of_values(
    contents: ClusterContents, usual: ClusterContents, folder: Path
) -> set[str]:
    """Return what Helm and charts that know the usual values say of those that are not."""
    problems = Problems("kubernetes")
    known = {release.chart: release.values for release in usual.releases}
    for release in contents.releases:
        if release.values != known[release.chart]:
            home = folder / f"{release.chart}-{release.version}"
            write_charts(folder, [chart for chart in CHARTS if chart.name == release.chart])
            (home / "values.yaml").write_text(json.dumps(known[release.chart]))
            (home / "templates" / "configuration.yaml").write_text("# Nothing\n")
            ChartFiles(folder, folder / "lock.json").rendered(
                replace(contents, releases=(release,)), Helm(contents.version), problems
            )
    return {each.reason for each in problems.error().problems}


def _problems(contents: ClusterContents, schemas: ObjectSchemas) -> set[str]:
    problems = Problems("kubernetes")
    schemas.check(contents, problems)
    refused = problems.error().problems if problems else ()
    return {each.reason for each in (*refused, *problems_of(contents))}


def _planted(contents: ClusterContents, fault: ObjectFault) -> ClusterContents:
    if not fault.kind:
        changed: ClusterContents = fault.change(contents)
        return changed
    target = next(each for each in contents.of_kind(fault.kind) if fault.named in each.name)
    body: Mapping[str, Any] = json.loads(json.dumps(target.body))
    fault.change(body)
    planted = AppliedObject(stack=target.stack, logical_id=target.logical_id, body=body)
    objects = tuple(planted if each is target else each for each in contents.objects)
    return replace(contents, objects=objects)
