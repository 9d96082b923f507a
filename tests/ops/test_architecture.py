import json
from graphlib import CycleError
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.architecture import diagram
from ops.architecture_svg import draw
from ops.assembly import AssemblyError
from ops.layered_layout import Place, layered
from ops.stack_summary import (
    Architecture,
    Dependency,
    StackSummary,
    read_architecture,
    readable_kind,
)
from tests.assembly import Assembly

ROOT = Path(__file__).parent.parent.parent
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.synth
def test_the_committed_picture_is_what_the_code_draws(assembly: Assembly) -> None:
    committed = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert diagram(assembly.directory) == committed, "Run `make docs`."


@pytest.mark.synth
def test_every_value_that_a_stack_takes_is_an_arrow(assembly: Assembly) -> None:
    text = json.dumps({k: v for k, v in assembly.templates.items() if k.startswith("llm-prod-")})
    architecture = read_architecture(assembly.directory, "prod")
    producers = {dependency.producer for dependency in architecture.dependencies}
    assert producers
    for stack in architecture.stacks:
        if f'"StackName": "llm-prod-{stack.name}"' in text:
            assert stack.name in producers


def written(folder: Path, stacks: dict[str, dict[str, Any]], **dependencies: list[str]) -> Path:
    artifacts: dict[str, Any] = {}
    for name, template in stacks.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://111111111111/us-east-2",
            "dependencies": [f"{name}.assets", *dependencies.get(name.split("-")[-1], [])],
            "properties": {
                "templateFile": f"{name}.template.json",
                "terminationProtection": name.endswith("network"),
            },
        }
        artifacts[f"{name}.assets"] = {"type": "cdk:asset-manifest"}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


NETWORK = {
    "Description": "LLM Platform, prod: VPC and subnets",
    "Resources": {
        "Key": {"Type": "AWS::KMS::Key"},
        "Vpc": {"Type": "AWS::EC2::VPC"},
        "A": {"Type": "AWS::EC2::Subnet"},
        "B": {"Type": "AWS::EC2::Subnet"},
        "Route": {"Type": "AWS::EC2::Route"},
        "Custom": {"Type": "Custom::Thing"},
    },
}
DATA = {
    "Resources": {
        "Files": {
            "Type": "AWS::FSx::FileSystem",
            "Properties": {
                "SubnetIds": [
                    {"Fn::GetStackOutput": {"StackName": "llm-prod-network", "OutputName": "A"}},
                    {"Fn::GetStackOutput": {"StackName": "llm-prod-network", "OutputName": "B"}},
                    {"Fn::GetStackOutput": {"StackName": "llm-prod-network", "OutputName": "A"}},
                ]
            },
        }
    }
}


def test_a_stack_is_summed_up_with_its_main_resources_first(tmp_path: Path) -> None:
    folder = written(tmp_path, {"llm-prod-network": NETWORK, "llm-dev-network": NETWORK})
    (network,) = read_architecture(folder, "prod").stacks
    assert network == StackSummary(
        name="network",
        description="VPC and subnets",
        region="us-east-2",
        protected=True,
        kinds=("1 VPC", "2 subnets", "1 KMS key"),
        others=2,
        resources=6,
    )


def test_a_dependency_counts_the_values_taken(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        {"llm-prod-network": NETWORK, "llm-prod-data": DATA},
        data=["llm-prod-network"],
    )
    architecture = read_architecture(folder, "prod")
    assert architecture.dependencies == (Dependency("network", "data", 2),)
    assert "data takes 2 values from network" in draw(architecture, ["prod"])


def test_a_missing_assembly_or_environment_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="no cloud assembly here"):
        read_architecture(tmp_path, "prod")
    with pytest.raises(AssemblyError, match="holds no stack of it"):
        read_architecture(written(tmp_path, {"llm-dev-network": NETWORK}), "prod")


@pytest.mark.parametrize(
    ("resource_type", "number", "expected"),
    [
        ("AWS::S3::Bucket", 2, "2 S3 buckets"),
        ("AWS::EC2::VPCEndpoint", 1, "1 VPC endpoint"),
        ("AWS::EC2::NatGateway", 3, "3 NAT gateways"),
        ("AWS::RDS::DBCluster", 1, "1 RDS DB cluster"),
        ("AWS::ECR::Repository", 2, "2 ECR repositories"),
        ("AWS::Kendra::Index", 2, "2 Kendra indexes"),
        ("AWS::ApiGateway::RestApi", 1, "1 API Gateway rest API"),
        ("AWS::StepFunctions::StateMachine", 1, "1 state machine"),
    ],
)
def test_a_resource_type_reads_as_words(resource_type: str, number: int, expected: str) -> None:
    assert readable_kind(resource_type, number) == expected


def test_a_long_arrow_passes_each_row_between_in_a_lane_of_its_own() -> None:
    layout = layered(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")], widest=4)
    lane = Place(1, "a", is_lane=True)
    assert lane in layout.rows[1]
    assert (Place(0, "a"), lane) in layout.steps
    assert (lane, Place(2, "c")) in layout.steps
    assert (Place(0, "a"), Place(2, "c")) not in layout.steps


def test_arrows_in_a_circle_are_refused() -> None:
    with pytest.raises(CycleError):
        layered(["a", "b"], [("a", "b"), ("b", "a")], widest=4)


@st.composite
def graphs(draw_value: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    boxes = [f"stack{number}" for number in range(draw_value(st.integers(1, 9)))]
    pairs = [(a, b) for index, a in enumerate(boxes) for b in boxes[index + 1 :]]
    arrows = draw_value(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return boxes, arrows


@given(graph=graphs(), widest=st.integers(1, 4))
def test_every_box_is_placed_once_and_every_step_goes_one_row_down(
    graph: tuple[list[str], list[tuple[str, str]]], widest: int
) -> None:
    boxes, arrows = graph
    layout = layered(boxes, arrows, widest=widest)
    placed = [place for row in layout.rows for place in row if not place.is_lane]
    assert sorted(place.box for place in placed) == sorted(boxes)
    assert all(sum(not place.is_lane for place in row) <= widest for row in layout.rows)
    assert all(end.row == start.row + 1 for start, end in layout.steps)
    assert {step[1].box for step in layout.steps if not step[1].is_lane} == {b for _, b in arrows}


@given(graph=graphs())
def test_boxes_stay_apart_and_inside_the_picture(
    graph: tuple[list[str], list[tuple[str, str]]],
) -> None:
    boxes, arrows = graph
    stacks = tuple(StackSummary(box, "It holds", "r", False, ("1 VPC",), 2, 3) for box in boxes)
    architecture = Architecture(
        "prod", "r", stacks, tuple(Dependency(start, end, 1) for start, end in arrows)
    )
    text = draw(architecture, ["prod"])
    assert text == draw(architecture, ["prod"])
    svg = ET.fromstring(text)  # noqa: S314
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    frames = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in svg.iter(f"{SVG}rect")
        if box.attrib["class"] == "stack"
    ]
    assert len(frames) == len(boxes)
    for index, (x, y, w, h) in enumerate(frames):
        assert x >= 0
        assert x + w <= width
        assert y + h <= height
        for other_x, other_y, _, _ in frames[:index]:
            assert abs(x - other_x) >= w or abs(y - other_y) >= h
