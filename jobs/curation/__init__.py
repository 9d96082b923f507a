"""The curation job: filter, deduplicate, tokenise and publish a corpus of text.

Each stage is a command of :mod:`curation.cli` that reads what the stage before left and leaves
content-addressed objects behind, so that any of them may be killed and started again.
``docs/curation.md`` describes the files.
"""
