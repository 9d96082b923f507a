"""The contract of the job: inputs, manifest, rejected records with reasons, publication once."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from curation import cli, plan
from curation.errors import CurationError
from curation.plan import load_plan
from curation.reason import Reason
from curation.storage import StoredObject
from curation.workspace import Workspace
from tests.jobs.curation.corpus import COMMON, END_OF_TEXT, record
from tests.jobs.curation.laptop import Dataset, Laptop, json_lines


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    laptop = Laptop.with_corpus(tmp_path_factory.mktemp("curation"))
    laptop.run()
    return laptop


@pytest.fixture(scope="module")
def dataset(laptop: Laptop) -> Dataset:
    return laptop.dataset()


def texts(laptop: Laptop, dataset: Dataset) -> dict[tuple[str, int], str]:
    """Return the published documents, decoded from their tokens, without their last one."""
    tokenizer = Tokenizer.from_file(f"{laptop.root}/tokenizer.json")
    documents = dataset.documents()
    return {
        place: tokenizer.decode(tokens[:-1], skip_special_tokens=False)
        for place, tokens in documents.items()
    }


@pytest.fixture
def copy(laptop: Laptop, tmp_path: Path) -> Laptop:
    """The same run in a place that a test may spoil."""
    folder = tmp_path / "copy"
    shutil.copytree(laptop.root, folder)
    return replace(laptop, root=str(folder))


def test_every_reason_is_found_where_the_corpus_has_it(laptop: Laptop) -> None:
    found = Counter((entry["shard"], entry["reason"]) for entry in laptop.rejected())
    readable = ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "more/d.jsonl")
    assert found == {
        **{(shard, reason.value): 1 for shard in readable for reason in Reason},
        ("e.jsonl.gz", "unreadable-shard"): 1,
    }


def test_every_record_is_published_or_a_duplicate_or_rejected(
    laptop: Laptop, dataset: Dataset
) -> None:
    published = {place for place, _ in texts(laptop, dataset).items()}
    duplicates = set(dataset.duplicates())
    rejected = {(entry["shard"], entry["line"]) for entry in laptop.rejected() if "line" in entry}
    lines = {
        (shard["input"]["key"], line)
        for shard in dataset.manifest["shards"]
        for line in range(1, shard["records"] + 1)
    }
    assert published | duplicates | rejected == lines
    assert len(published) + len(duplicates) + len(rejected) == len(lines)


def test_the_manifest_counts_what_is_there(laptop: Laptop, dataset: Dataset) -> None:
    totals = dataset.manifest["totals"]
    documents = dataset.documents()
    assert totals["documents"] == len(documents)
    assert totals["tokens"] == sum(map(len, documents.values()))
    assert totals["records"] == 4 * 38
    assert sum(totals["duplicates"].values()) == len(dataset.duplicates())
    assert totals["rejected"] == {reason.value: 4 for reason in Reason}
    assert (totals["shards"], totals["unreadable_shards"]) == (5, 1)
    assert dataset.manifest["ignored"] == ["README.txt"]
    length = laptop.rules["sequence_length"]
    assert totals["sequences"] * length == totals["tokens"] + totals["padding"]


def test_tokens_read_back_are_the_text_that_was_kept(laptop: Laptop, dataset: Dataset) -> None:
    originals = {
        json.loads(line)["text"]
        for line in Path(laptop.root, "input", "a.jsonl").read_bytes().splitlines()
        if line.startswith(b'{"text": ') and line.endswith(b"}")
    }
    published = [text for (shard, _), text in texts(laptop, dataset).items() if shard == "a.jsonl"]
    untouched = [text for text in published if "|||" not in text]
    assert len(untouched) >= 14
    assert set(untouched) <= originals


def test_a_duplicate_leads_to_a_published_document_that_is_like_it(
    laptop: Laptop, dataset: Dataset
) -> None:
    shards = [shard["input"]["key"] for shard in dataset.manifest["shards"]]
    documents = texts(laptop, dataset)
    kept = {
        (shards[int(of.partition(":")[0])], int(of.partition(":")[2]))
        for of in dataset.duplicates().values()
    }
    assert kept
    assert kept <= documents.keys()


def test_personal_data_is_redacted_or_its_record_rejected(laptop: Laptop, dataset: Dataset) -> None:
    everything = "\n".join(texts(laptop, dataset).values())
    assert "@example.com" not in everything
    assert everything.count("|||EMAIL_ADDRESS|||") == 4


def test_a_document_that_spells_out_the_end_of_text_does_not_end_there(
    laptop: Laptop, dataset: Dataset
) -> None:
    tokenizer = Tokenizer.from_file(f"{laptop.root}/tokenizer.json")
    end = tokenizer.encode(END_OF_TEXT).ids[0]
    documents = dataset.documents().values()
    assert all(tokens.index(end) == len(tokens) - 1 for tokens in documents)
    assert any(END_OF_TEXT in text for text in texts(laptop, dataset).values())


def everything(laptop: Laptop) -> list[StoredObject]:
    return [*laptop.storage("datasets").objects(), *laptop.storage("curated").objects()]


def test_running_again_changes_nothing_but_the_names_of_the_plan(copy: Laptop) -> None:
    before = everything(copy)
    copy.run("again")
    after = [it for it in everything(copy) if it.key != "names/again.json"]
    assert after == before


def test_the_same_corpus_elsewhere_has_the_same_manifest(copy: Laptop, dataset: Dataset) -> None:
    for name in ("curated", "datasets", "rejected"):
        shutil.rmtree(f"{copy.root}/{name}")
    assert copy.run("another-name").manifest_bytes == dataset.manifest_bytes


def test_workers_that_share_the_shards_publish_the_same_manifest(
    copy: Laptop, dataset: Dataset
) -> None:
    for name in ("curated", "datasets", "rejected"):
        shutil.rmtree(f"{copy.root}/{name}")
    work, name, source, tokenizer, rejected, output, rules = copy.arguments()
    cli.plan(work, name, source, tokenizer, rules)
    # Later workers first, and more of them than shards.
    for worker in reversed(range(7)):
        cli.filter_(work, name, rejected, worker=worker, workers=7)
    cli.deduplicate(work, name)
    for shard in (3, 1, 4, 0, 2):
        cli.tokenise(work, name, shard=shard)
    cli.publish(work, name, output)
    assert copy.dataset().manifest_bytes == dataset.manifest_bytes


def test_the_kept_texts_do_not_depend_on_the_shards_they_lie_in(
    copy: Laptop, laptop: Laptop, dataset: Dataset
) -> None:
    folder = Path(copy.root)
    shutil.rmtree(folder / "datasets")
    (folder / "input" / "a.jsonl").rename(folder / "input" / "z.jsonl")
    (folder / "input" / "e.jsonl.gz").unlink()
    renamed = copy.run("renamed")
    assert sorted(texts(copy, renamed).values()) == sorted(texts(laptop, dataset).values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rules": {"minimum_words": 60}}, True),
        ({"rules": {"personal_data": "keep"}}, True),
        ({}, False),
    ],
)
def test_another_configuration_is_another_run(
    copy: Laptop, dataset: Dataset, change: dict[str, dict[str, object]], expected: bool
) -> None:
    shutil.rmtree(f"{copy.root}/datasets")
    changed = replace(copy, rules={**copy.rules, **change.get("rules", {})})
    assert (changed.run("other").manifest["run"] != dataset.manifest["run"]) is expected


def test_pairs_of_another_deduplicator_take_the_place_of_minhash(copy: Laptop) -> None:
    for name in ("curated", "datasets", "rejected"):
        shutil.rmtree(f"{copy.root}/{name}")
    work, name, source, tokenizer, rejected, output, rules = copy.arguments()
    cli.plan(work, name, source, tokenizer, rules)
    cli.filter_(work, name, rejected)
    documents = copy.storage("curated")
    ids = [
        entry["id"]
        for found in documents.objects()
        if found.key.endswith(".jsonl.zst")
        for entry in _documents(copy, found.key)
    ]
    pairs = Path(copy.root) / "pairs"
    pairs.mkdir()
    first, *others = sorted(ids)
    given = [{"duplicate": other, "of": first} for other in others]
    (pairs / "part-0.jsonl").write_text("\n".join(map(json.dumps, given)))
    cli.deduplicate(work, name, str(pairs))
    cli.tokenise(work, name)
    cli.publish(work, name, output)
    totals = copy.dataset().manifest["totals"]
    assert totals["documents"] == 1
    assert sum(totals["duplicates"].values()) == len(others)


def _documents(laptop: Laptop, key: str) -> list[dict[str, str]]:
    with laptop.storage("curated").open(key) as stream:
        return json_lines(stream.read())


def test_pairs_of_other_documents_are_refused(copy: Laptop) -> None:
    pairs = Path(copy.root) / "pairs"
    pairs.mkdir()
    (pairs / "part-0.jsonl").write_text('{"duplicate": "0:99999", "of": "1:1"}')
    done = next(Path(copy.root).glob("curated/runs/*/done/deduplicate.json"))
    done.unlink()
    with pytest.raises(CurationError, match="there is no document 0:99999"):
        cli.deduplicate(f"{copy.root}/curated", "test", str(pairs))


def test_a_shard_that_changed_after_it_was_planned_is_refused(copy: Laptop) -> None:
    work, _, source, tokenizer, rejected, _, _ = copy.arguments()
    cli.plan(work, "new", source, tokenizer, '{"minimum_words": 40}')
    with Path(source, "a.jsonl").open("ab") as file:
        file.write(record(" ".join(COMMON * 10)))
    with pytest.raises(CurationError, match=r"a\.jsonl: It changed after it was planned"):
        cli.filter_(work, "new", rejected)


def test_a_name_that_stands_for_another_input_is_refused(copy: Laptop) -> None:
    (Path(copy.root) / "input" / "f.jsonl").write_bytes(record("new"))
    with pytest.raises(CurationError, match="The name stands for another plan"):
        copy.run()


def test_nothing_is_published_while_a_stage_is_missing(copy: Laptop) -> None:
    shutil.rmtree(f"{copy.root}/datasets")
    next(Path(copy.root).glob("curated/runs/*/done/tokenise-00002.json")).unlink()
    with pytest.raises(CurationError, match="Run the stage tokenise first"):
        cli.publish(f"{copy.root}/curated", "test", f"{copy.root}/datasets")
    assert not Path(copy.root, "datasets").exists()


def test_nothing_is_published_when_a_record_is_not_accounted_for(copy: Laptop) -> None:
    shutil.rmtree(f"{copy.root}/datasets")
    outcome = next(Path(copy.root).glob("curated/runs/*/done/filter-00001.json"))
    counted = json.loads(outcome.read_text())
    counted["records"] += 1
    outcome.write_text(json.dumps(counted))
    with pytest.raises(CurationError, match=r"It has 39 records, and 38 are"):
        cli.publish(f"{copy.root}/curated", "test", f"{copy.root}/datasets")
    assert not Path(copy.root, "datasets").exists()


def test_a_different_outcome_of_the_same_step_is_refused(copy: Laptop) -> None:
    done = next(Path(copy.root).glob("curated/runs/*/done/tokenise-00001.json"))
    outcome = json.loads(done.read_text())
    done.unlink()
    work = copy.storage("curated")
    workspace = Workspace(work, load_plan(work, "test").plan.run)
    workspace.finish("tokenise-00001", outcome)
    with pytest.raises(CurationError, match="recorded a different outcome"):
        workspace.finish("tokenise-00001", {**outcome, "tokens": 1})


def test_another_manifest_of_the_same_run_is_refused(copy: Laptop) -> None:
    manifest = next(Path(copy.root).glob("datasets/*/manifest.json"))
    manifest.write_text("{}")
    with pytest.raises(CurationError, match="Another manifest of the same run"):
        copy.run("again")
    assert manifest.read_text() == "{}"


def test_a_changed_object_does_not_pass_verification(copy: Laptop) -> None:
    dataset = copy.dataset().storage.uri
    cli.verify(dataset)
    tokens = next(Path(dataset).glob("tokens-*.npy"))
    body = bytearray(tokens.read_bytes())
    body[-1] ^= 1
    tokens.write_bytes(body)
    with pytest.raises(CurationError, match="It is not what the manifest names"):
        cli.verify(dataset)


def test_other_versions_of_the_tools_do_not_finish_a_run(
    copy: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "tools", lambda: {"ftfy": "0"})
    with pytest.raises(CurationError, match="planned with other versions of ftfy"):
        cli.publish(f"{copy.root}/curated", "test", f"{copy.root}/datasets")
