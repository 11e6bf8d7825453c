"""Where everything stands in a run folder: the only place that spells a path below RUN.

Paths are relative to the run folder, with ``/``; a folder's name ends with ``/``, so that it is also the prefix of what
lies in it.  A shard has one name everywhere ("00000", "00012-1"): shard i of every table beside the documents is
row-aligned with documents shard i.
"""

import re
from pathlib import PurePosixPath

# what a recipe and the tools of a run know
RECIPE = "recipe.toml"
MANIFESTS = "manifests/"
LOGS = "logs/"
METRICS = "metrics/"
CHECKPOINTS = "checkpoints/"
REPORT = "report/"

# tables, one file per shard
DOCUMENTS = "documents/"
QUARANTINE = "quarantine/"
EXCLUDED = "excluded/"
SIGNATURES = "signatures/"
SIGNALS = "signals/"
VERDICTS = "verdicts/"
TOKENS = "tokens/"
TRAIN_TOKENS = "tokens/train/"
VALIDATION_TOKENS = "tokens/validation/"
RESTORED_TOKENS = "tokens/restored/"

# dedup
CLUSTERS = "clusters/"
EVIDENCE = "clusters/evidence.arrow"
SURVIVORS = "clusters/survivors.arrow"
LINKS = "clusters/links/"
PARTS = "clusters/parts/"
PIECES = "clusters/pieces/"

# filter
CLASSIFIERS = "classifiers/"
DECONTAMINATION = "decontamination/"
NGRAMS = "decontamination/ngrams.arrow"
ITEMS = "decontamination/items.arrow"

# tokens
TOKENIZER_FOLDER = "tokenizer/"
TOKENIZER = "tokenizer/tokenizer.json"
ENCODING = "tokenizer/encoding.json"
TOKENIZER_REPORT = "tokenizer/report.json"
SURVEY = "tokenizer/survey/"
LEAKAGE = "tokens/leakage.json"

# indexes
INDEX = "index/"
DOC_INDEX = "index/doc_id.arrow"
KEY_INDEX = "index/keys.arrow"
DEDUP_INDEX = "index/dedup"

# training, report, ablation, logs
TRAIN_METRICS = "metrics/train.jsonl"
SAMPLES = "metrics/samples.jsonl"
REPORT_PAGE = "report/index.html"
REPORT_MADE_FROM = "report/made_from.json"
ABLATION = "ablation/"
HELD_OUT_DOCUMENTS = "ablation/documents/"
HELD_OUT_TOKENS = "ablation/tokens/"
HELD_OUT_SIGNATURES = "ablation/signatures.arrow"
SCORE = "ablation/score.json"
STAGE_SECONDS_LOG = "logs/stages.json"
FAILURES_LOG = "logs/failed.json"
ENVIRONMENT_LOG = "logs/environment.json"
INPUTS_LOG = "logs/inputs.json"
CLUSTER_LOGS = "logs/cluster"

_CHECKPOINT_STATE = re.compile(r"step-(\d{7,})/state\.json")


def shard_of(path: str) -> str:
    """The name of the shard that a table's path is of: ``documents/00012-1.arrow`` is of ``00012-1``."""
    return PurePosixPath(path).stem


def documents(shard: str) -> str:
    """Documents of a shard."""
    return f"{DOCUMENTS}{shard}.arrow"


def quarantine(shard: str) -> str:
    """Damaged records of a partition."""
    return f"{QUARANTINE}{shard}.arrow"


def excluded(shard: str) -> str:
    """Well-formed records of a partition that were not wanted."""
    return f"{EXCLUDED}{shard}.arrow"


def signatures(shard: str) -> str:
    """MinHash signatures of a shard's documents."""
    return f"{SIGNATURES}{shard}.arrow"


def signals(shard: str) -> str:
    """Signals of a shard's documents."""
    return f"{SIGNALS}{shard}.arrow"


def verdicts(stage: str, shard: str) -> str:
    """What a stage says of a shard's documents."""
    return f"{VERDICTS}{stage}/{shard}.arrow"


def verdicts_beside(documents_path: str, stage: str) -> str:
    """The verdicts of ``stage`` on the documents at ``documents_path``."""
    return verdicts(stage, shard_of(documents_path))


def tokens(split: str, shard: str) -> str:
    """Tokens of a shard's documents; ``split`` is "train" or "validation"."""
    return f"{TOKENS}{split}/{shard}.arrow"


def links(shard: str) -> str:
    """Candidate pairs of a shard, of a dedup in parts."""
    return f"{LINKS}{shard}.arrow"


def part(number: str) -> str:
    """Documents and candidates of one part, of a dedup in parts."""
    return f"{PARTS}{number}.arrow"


def piece(number: str) -> str:
    """Evidence of one part, of a dedup in parts."""
    return f"{PIECES}{number}.arrow"


def survivor_piece(number: str) -> str:
    """Survivors of one part, of a dedup in parts."""
    return f"{PIECES}survivors-{number}.arrow"


def classifier(name: str, file: str = "model.bin") -> str:
    """A file of a classifier that the run trains itself."""
    return f"{CLASSIFIERS}{name}/{file}"


def survey(shard: str) -> str:
    """What tokenizer training counts of a shard."""
    return f"{SURVEY}{shard}.arrow"


def held_out_documents(shard: str) -> str:
    """Documents of a shard that an ablation holds out."""
    return f"{HELD_OUT_DOCUMENTS}{shard}.arrow"


def held_out_tokens(shard: str) -> str:
    """Their tokens."""
    return f"{HELD_OUT_TOKENS}{shard}.arrow"


def checkpoint(step: int) -> str:
    """Folder of the checkpoint that stands after ``step`` steps; without a slash at its end."""
    return f"{CHECKPOINTS}step-{step:07d}"


def checkpoint_step(state_path: str) -> int | None:
    """The step of ``step-0001000/state.json`` (below ``checkpoints/``); None for any other path."""
    found = _CHECKPOINT_STATE.fullmatch(state_path)
    return int(found[1]) if found else None


def report_plot(name: str) -> str:
    """A plot of the report."""
    return f"{REPORT}{name}.png"


def stage_manifest(step: str) -> str:
    """The manifest of a whole step."""
    return f"{MANIFESTS}{step}.json"


def shard_manifest(step: str, shard: str) -> str:
    """The manifest of one shard of a step."""
    return f"{MANIFESTS}{step}/{shard}.json"
