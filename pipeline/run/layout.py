"""Where everything stands in a run folder: the only place that spells a path below RUN.

Paths are relative to the run folder and use ``/``.  The name of a folder ends with ``/``, so that it is also the prefix
of the paths in it.  A shard has one name everywhere ("00000", "00012-1"): shard ``00000`` of every table that stands
beside the documents is row-aligned with shard ``00000`` of the documents.
"""

import re
from pathlib import PurePosixPath

# the run itself
RECIPE = "recipe.toml"
MANIFESTS = "manifests/"
STEP_DIGESTS = f"{MANIFESTS}steps.digests"  # of the manifest of each finished step
TAKEDOWN_PLAN = f"{MANIFESTS}takedown.pending"  # what an unfinished takedown has left to do
TAKEDOWN = "takedown.jsonl"
PREFECT = ".prefect/"  # Prefect's home: records of flow runs, from which nothing is read
RESTORED = "restored.jsonl"

# tables, one file per shard
DOCUMENTS = "documents/"
QUARANTINE = "quarantine/"
EXCLUDED = "excluded/"
SIGNATURES = "signatures/"
SIGNALS = "signals/"
VERDICTS = "verdicts/"
TOKENS = "tokens/"
TRAIN_TOKENS = f"{TOKENS}train/"
VALIDATION_TOKENS = f"{TOKENS}validation/"
RESTORED_TOKENS = f"{TOKENS}restored/"

# dedup
CLUSTERS = "clusters/"
EVIDENCE = f"{CLUSTERS}evidence.arrow"
SURVIVORS = f"{CLUSTERS}survivors.arrow"
EARLIER = f"{CLUSTERS}earlier/"  # these while the join is at work; they go when clusters/ is made
KEYS = f"{CLUSTERS}keys/"
GROUPS = f"{CLUSTERS}groups/"
LINKS = f"{CLUSTERS}links/"
COMPONENTS = f"{CLUSTERS}components.arrow"
SETS = f"{CLUSTERS}sets/"
PIECES = f"{CLUSTERS}pieces/"
SURVIVOR_PIECES = f"{PIECES}survivors-"

# filter
CLASSIFIERS = "classifiers/"
DECONTAMINATION = "decontamination/"
NGRAMS = f"{DECONTAMINATION}ngrams.arrow"
ITEMS = f"{DECONTAMINATION}items.arrow"
SHORT_TEXTS = f"{DECONTAMINATION}short.arrow"
INDEX_OF_ITEMS = (NGRAMS, ITEMS, SHORT_TEXTS)

# tokenize
TOKENIZER_FOLDER = "tokenizer/"
TOKENIZER = f"{TOKENIZER_FOLDER}tokenizer.json"
ENCODING = f"{TOKENIZER_FOLDER}encoding.json"
TOKENIZER_REPORT = f"{TOKENIZER_FOLDER}report.json"
SURVEY = f"{TOKENIZER_FOLDER}survey/"
LEAKAGE = f"{TOKENS}leakage.json"
INDEX = "index/"
DOC_INDEX = f"{INDEX}doc_id.arrow"
KEY_INDEX = f"{INDEX}keys.arrow"
DEDUP_INDEX = f"{INDEX}dedup"  # made by `tokenmill dedup index build`

# train
CHECKPOINTS = "checkpoints/"
CHECKPOINT_STATE = "state.json"  # in a checkpoint's folder; it is written last
CHECKPOINT_TOKENIZER = "tokenizer.json"  # the copy in a checkpoint's folder
CHECKPOINT_TRAINING = "training.json"  # what defined its training
NEXT_CHECKPOINTS = f"{CHECKPOINTS}next/"  # the first one of a training that replaces another, until that one is gone
SUCCESSION = f"{CHECKPOINTS}succession.json"  # which training replaces which checkpoints
METRICS = "metrics/"
TRAIN_METRICS = f"{METRICS}train.jsonl"
LOGGERS = f"{METRICS}loggers.json"  # the name of the training in the tools of train.loggers
TENSORBOARD = f"{METRICS}tensorboard/"
MLFLOW = f"{METRICS}mlflow.db"
SAMPLES = f"{METRICS}samples.jsonl"

# report and ablation
REPORT = "report/"
REPORT_PAGE = f"{REPORT}index.html"
REPORT_MADE_FROM = f"{REPORT}made_from.json"
ABLATION = "ablation/"
HELD_OUT_DOCUMENTS = f"{ABLATION}documents/"
HELD_OUT_TOKENS = f"{ABLATION}tokens/"
HELD_OUT_SIGNATURES = f"{ABLATION}signatures.arrow"
SCORE = f"{ABLATION}score.json"

# logs: nothing in them decides a byte of the outputs
LOGS = "logs/"
STAGE_SECONDS_LOG = f"{LOGS}stages.json"
FAILURES_LOG = f"{LOGS}failed.json"
ENVIRONMENT_LOG = f"{LOGS}environment.json"
INPUTS_LOG = f"{LOGS}inputs.json"
CLUSTER_LOGS = f"{LOGS}cluster"
FOLDER_NAME = f"{LOGS}folder.txt"  # tells this folder from one of the same path on another machine
NIGHT_LOG = f"{LOGS}night.json"  # which flow run made this night, and whether it was a quiet one
TRAIN_LOCK = f"{LOGS}train.lock"  # held by the training process of the run

_CHECKPOINT_STATE = re.compile(rf"step-(\d{{7,}})/{re.escape(CHECKPOINT_STATE)}")


_SHARD = re.compile(r"\d{5,}(-\d+)?")

# where the outputs of a stage's steps stand; steps of other names are those of tests and of programs of one's own
STAGE_FOLDERS: dict[str, tuple[str, ...]] = {
    "clean": (DOCUMENTS, QUARANTINE, EXCLUDED),
    "dedup": (SIGNATURES, CLUSTERS, f"{VERDICTS}dedup/"),
    "filter": (SIGNALS, CLASSIFIERS, DECONTAMINATION, f"{VERDICTS}filter/"),
    "tokenize": (TOKENIZER_FOLDER, TOKENS, f"{VERDICTS}tokenize/"),
    "index": (INDEX,),
    "train": (CHECKPOINTS,),
    "ablation": (ABLATION,),
}
_OF_STAGES = tuple(folder for folders in STAGE_FOLDERS.values() for folder in folders)
# tables whose files are named by the shard that makes them
_BY_SHARD = (DOCUMENTS, QUARANTINE, EXCLUDED, SIGNATURES, SIGNALS, VERDICTS, TRAIN_TOKENS, VALIDATION_TOKENS)

# what no manifest may name as an output: what the run knows of itself, and what belongs to programs at work on it
_NO_OUTPUTS = (RECIPE, TAKEDOWN, RESTORED, MANIFESTS, LOGS)


def is_output(path: str) -> bool:
    """Whether a path read from a file may be that of an output: below the run folder, and no record of the run itself.

    A run folder may come from others: what its files name is neither read nor removed without this question.
    """
    parts = path.split("/")
    inside = not any(part in ("", ".", "..") for part in parts) and "\\" not in path and "\0" not in path
    return inside and not parts[0].startswith(".") and ":" not in parts[0] and not path.startswith(_NO_OUTPUTS)


def is_output_of(step: str, shard: str, path: str) -> bool:
    """Whether a shard of a step may have an output at ``path``: in no folder of another stage, and no other's table.

    Example:
        >>> is_output_of("clean", "00001", "documents/00001-1.arrow")
        True
        >>> is_output_of("clean", "00001", "signals/00001.arrow")
        False
        >>> is_output_of("clean", "00001", "documents/00002.arrow")
        False
    """
    stage = step.split(".")[0]
    of_others = path.startswith(_OF_STAGES) and not path.startswith(STAGE_FOLDERS.get(stage, ()))
    if of_others or not is_output(path):
        return False
    if not _SHARD.fullmatch(shard) or not path.startswith(_BY_SHARD):
        return True
    return path.endswith(".arrow") and (shard_of(path) == shard or shard_of(path).startswith(f"{shard}-"))


def shard_of(path: str) -> str:
    """The name of the shard that a table's path is of: ``documents/00012-1.arrow`` is of ``00012-1``."""
    return PurePosixPath(path).stem


def shard_table(folder: str, shard: str) -> str:
    """The table of a shard, or of a numbered part, in one of the folders above."""
    return f"{folder}{shard}.arrow"


def documents(shard: str) -> str:
    """Documents of a shard."""
    return shard_table(DOCUMENTS, shard)


def earlier_index(shard: str) -> str:
    """The folder of the dedup index of an earlier run, while the join is at work."""
    return f"{EARLIER}{shard}/"


def signatures(shard: str) -> str:
    """MinHash signatures of a shard's documents."""
    return shard_table(SIGNATURES, shard)


def signals(shard: str) -> str:
    """Signals of a shard's documents."""
    return shard_table(SIGNALS, shard)


def verdicts_folder(stage: str) -> str:
    """The folder of a stage's verdicts."""
    return f"{VERDICTS}{stage}/"


def verdicts(stage: str, shard: str) -> str:
    """What a stage says of a shard's documents."""
    return shard_table(verdicts_folder(stage), shard)


def verdicts_beside(documents_path: str, stage: str) -> str:
    """The verdicts of ``stage`` on the documents at ``documents_path``."""
    return verdicts(stage, shard_of(documents_path))


def tokens_folder(split: str) -> str:
    """The token shards of a split: "train", "validation" or "restored"."""
    return f"{TOKENS}{split}/"


def tokens(split: str, shard: str) -> str:
    """Tokens of a shard's documents of one split."""
    return shard_table(tokens_folder(split), shard)


def restored_tokens(number: int, shard: str) -> str:
    """Tokens of the documents of a shard that restoration ``number`` brought back."""
    return shard_table(RESTORED_TOKENS, f"{number:04d}-{shard}")


def split_of(tokens_path: str) -> str:
    """The split that a token shard's path is of."""
    return PurePosixPath(tokens_path).parent.name


def survey(shard: str) -> str:
    """What tokenizer training counts in a shard."""
    return f"{SURVEY}{shard}.json"


def classifier(name: str, file: str = "model.bin") -> str:
    """A file of a classifier that the run trains itself."""
    return f"{CLASSIFIERS}{name}/{file}"


def checkpoint(step: int) -> str:
    """Folder of the checkpoint that stands after ``step`` steps; without a slash at its end."""
    return f"{CHECKPOINTS}step-{step:07d}"


def next_checkpoint(step: int) -> str:
    """Where the first checkpoint of a training that replaces another stands until that one is gone."""
    return f"{NEXT_CHECKPOINTS}step-{step:07d}"


def checkpoint_state(step: int) -> str:
    """The file that makes a checkpoint complete."""
    return f"{checkpoint(step)}/{CHECKPOINT_STATE}"


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


def step_manifests(step: str) -> str:
    """The folder of a step's shard manifests."""
    return f"{MANIFESTS}{step}/"


def shard_manifest(step: str, shard: str) -> str:
    """The manifest of one shard of a step."""
    return f"{step_manifests(step)}{shard}.json"
