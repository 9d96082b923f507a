"""The page that shows the catalogue of instance types."""

from collections.abc import Iterable, Iterator

from llm_constructs.specs.accelerators import FAMILIES, INSTANCE_TYPES, REFUSED_FAMILIES
from llm_constructs.specs.instance_type import DeviceKind, InstanceType

PAGE_FILE = "docs/accelerators.md"

_INTRODUCTION = """\
# Accelerators

<!-- Written by `make docs` from llm_constructs.specs.accelerators; do not edit. -->

One catalogue says what an instance type is. Launch templates, node pools, AMI types, taints,
labels, resource requests, tensor parallelism and the instances of SageMaker are derived from it, so
that they cannot disagree; what they would disagree about is refused when the configuration is read.

A type is in the catalogue only if every figure could be confirmed. Names are tested against the
enumerations of EC2, EKS and SageMaker in botocore, regions against cfn-lint's data, which is made
from AWS's prices: capacity that is sold without a public price, and zones, are beyond it. Set
`unlisted_region` where EC2 offers more. The sources stand beside the rows in the code.
"""

_NETWORK = """\
## Network interfaces

With EFA a node gets one interface with an address (card 0, device 0) and one `efa-only` interface
for each EFA: on card 0 as device 1, on every other card as device 0. On p6-b300 card 0 has none.
EFA-only interfaces take no addresses. p6e-gb200 has EFA, but no layout of it is published, so it is
refused there.
"""

_REFUSED = """\
## Refused families

| Family | Why | Instead |
| --- | --- | --- |
"""


def page() -> str:
    """Return the content of :data:`PAGE_FILE`."""
    kinds = {
        "NVIDIA": DeviceKind.NVIDIA,
        "AWS Neuron": DeviceKind.NEURON,
        "CPU": DeviceKind.NONE,
    }
    sections = [_INTRODUCTION]
    for title, kind in kinds.items():
        rows = [row for row in INSTANCE_TYPES.values() if row.device_kind is kind]
        sections.append("\n".join([f"## {title}", "", *_table(rows), ""]))
    sections += [_NETWORK, "\n".join(_capacity()), _REFUSED.rstrip("\n")]
    refused = [
        f"| {name} | {reason} | {remedy} |"
        for name, (reason, remedy) in sorted(REFUSED_FAMILIES.items())
    ]
    return "\n".join([*sections, *refused, ""])


def _table(rows: Iterable[InstanceType]) -> Iterator[str]:
    yield (
        "| Type | vCPUs | GiB | Devices | GiB each | NeuronCores | Ranks | NVMe GB | EFA | Pods "
        "| Allocatable CPU, MiB | AMI type |"
    )
    yield f"|{' --- |' * 12}"
    for row in rows:
        device = row.accelerator
        left = row.allocatable()
        cells = (
            row.name,
            row.vcpus,
            f"{row.memory_gib:,}",
            f"{row.accelerator_count} {device.name}" if device else "",
            device.memory_gib if device else "",
            row.neuron_cores or "",
            row.ranks or "",
            f"{row.local_nvme_gb:,}" if row.local_nvme_gb else "",
            row.efa.interfaces if row.efa else "",
            row.max_pods,
            f"{left.cpu_millis}m, {left.memory_mib:,}",
            f"`{row.ami_type}`",
        )
        yield f"| {' | '.join(map(str, cells))} |"


def _capacity() -> Iterator[str]:
    yield "## Capacity, SageMaker and regions\n"
    yield "| Types | Capacity | SageMaker | Regions with a price |"
    yield "| --- | --- | --- | --- |"
    for rows in FAMILIES.values():
        yield from _capacity_rows(rows)
    yield ""


def _capacity_rows(rows: tuple[InstanceType, ...]) -> Iterator[str]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        cells = (row.capacity_options, row.sagemaker_uses, row.regions)
        alike.setdefault(tuple(", ".join(sorted(cell)) or "" for cell in cells), []).append(
            row.name
        )
    for same, names in alike.items():
        subject = f"{rows[0].family}.*" if len(names) == len(rows) > 1 else ", ".join(names)
        yield f"| {subject} | {' | '.join(same)} |"
