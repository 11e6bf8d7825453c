"""Commands that judge documents: filter, classifier, decontaminate.  The work is done in pipeline/filter."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from flows.cli.questions import funnel
from flows.display.answer import answer
from flows.display.options import (
    Flag,
    Json,
    Output,
    Overrides,
    Overwrite,
    Repeated,
    Workers,
    refuse_overwriting,
)
from flows.display.standard import as_files
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.words import counted, place


def filter_run(
    root: str,
    *,
    set: Overrides | None = None,
    apply: Flag = False,
    show: Annotated[int, Parameter(name=["--show", "-n"])] = 3,
    workers: Workers = 0,
    json: Json = False,
) -> int:
    """Show what other thresholds would keep and drop, from the stored signals; write nothing without --apply.

    Example: tokenmill filter runs/demo --set filter.gopher_quality.min_words=30

    Parameters
    ----------
    root
        The run folder, its filter stage done.
    set
        KEY=VALUE of the filter section; may be given several times.
    apply
        Write the new verdicts and recipe into the run folder.
    show
        Documents to show that would come in, and that would go out.
    workers
        Worker processes of --apply; 0: one for each processor.
    """
    from pipeline.filter.whatif import what_if

    result = what_if(root, set or [], show)
    result["applied"] = apply
    if apply:
        result["stage"] = _apply(root, set or [], workers)
    return answer(json, result, "\n".join(funnel.lines(result)))


def _apply(root: str, overrides: list[str], workers: int) -> dict[str, Any]:
    """Writes the new recipe and verdicts."""
    from flows.session.stages import run_stage, working_context
    from pipeline.base.pool import Pool, default_workers
    from pipeline.filter.whatif import changed_recipe
    from pipeline.inspection.status import rebuild_command
    from pipeline.run.folder import Run
    from pipeline.run.manifest import steps_of

    run, recipe = changed_recipe(root, overrides)
    changed = Run(run.root, recipe)
    with changed.lock(), Pool(workers or default_workers()) as pool:
        summary = run_stage("filter", working_context(changed, pool))
        changed.write_recipe()
    begun = {step.split(".")[0] for step in steps_of(root)}
    later = [stage for stage in recipe.stages[recipe.stages.index("filter") + 1 :] if stage in begun]
    if later:
        say(f"verdicts are new; `{rebuild_command(changed)}` brings {', '.join(later)} up to date")
    return summary


classifier_app = App(
    name="classifier", help="Train a fastText quality classifier, and look at one.", help_format="plaintext"
)


@classifier_app.command(name="train")
def train_classifier(
    *,
    positive: Repeated,
    negative: Repeated,
    output: Output = Path("classifier"),
    name: str = "quality",
    keep_rate: float | None = None,
    reference: Repeated | None = None,
    holdout: float = 0.2,
    epochs: int = 5,
    learning_rate: float = 0.1,
    dimension: int = 100,
    word_ngrams: int = 2,
    buckets: int = 200_000,
    seed: int = 1,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Train a fastText quality classifier; write the model, its model card and its held-out report.

    Texts come from files (JSONL, Parquet or plain text, one document per line) or from a run:
    RUN?source=wiki&language=en&min_word_count=200&kept=true

    Example: tokenmill classifier train --positive good.jsonl --negative runs/demo?source=mail --output classifier

    Parameters
    ----------
    positive
        Texts to be kept.
    negative
        Texts to be dropped.
    output
        Folder to write to.
    name
        Name of the classifier; its signal is NAME_score.
    keep_rate
        Share of the reference texts that the threshold is to keep; without it the threshold is 0.5.
    reference
        Texts that stand for the corpus; without it the held-out texts of both classes.
    holdout
        Share of the documents that is not trained on.
    epochs
        Passes over the texts.
    learning_rate
        Of fastText.
    dimension
        Size of a word vector.
    word_ngrams
        Longest run of words that has a vector.
    buckets
        Vectors of runs of words, by hash.
    seed
        Of the weights and of what is held out.
    """
    from pipeline.filter.classifier.train import Options, train

    refuse_overwriting("--output", output, overwrite=overwrite)
    options = Options(name, keep_rate, holdout, epochs, learning_rate, dimension, word_ngrams, buckets, seed)
    card = train(positive, negative, output, options, reference or [])
    report, threshold = card["held_out"], card["threshold"]
    text = (
        f"{output / card['model']['path']}: precision {report['precision']:.3f}, recall {report['recall']:.3f}, "
        f"AUC {report['auc']:.3f}\n"
        f"threshold {threshold['value']:.6f} keeps {threshold['keep_rate']:.1%}; see {output}/card.json"
    )
    return answer(json, card, text, made=True)


def decontaminate(
    root: str,
    *,
    set: Overrides,
    field: Repeated | None = None,
    ngram: int = 13,
    json: Json = False,
) -> int:
    """List the documents and token ranges of a finished run that an evaluation set touches.

    Example: tokenmill decontaminate runs/demo --set squad=squad.jsonl --field question

    Parameters
    ----------
    root
        The run folder, its clean stage done.
    set
        NAME=PATH of an evaluation set; may be given several times. NAME=- reads JSON Lines from standard input.
    field
        Fields of its items that hold text.
    ngram
        Words that must be the same in a row.
    """
    from pipeline.filter.decontamination.scan import scan

    pairs = [given.partition("=") for given in set]
    wrong = [given for given, (name, separator, path) in zip(set, pairs, strict=True) if not (name and path)]
    if wrong:
        raise UserError(f"--set {wrong[0]!r}: expected NAME=PATH, such as --set squad=squad.jsonl")
    names = [name for name, _, _ in pairs]
    with as_files(*(path for _, _, path in pairs), ending="jsonl") as paths:
        result = scan(root, dict(zip(names, paths, strict=True)), field or [], ngram)
    lines = []
    for hit in result["hits"]:
        tokens = (
            f" tokens {hit['token_start']}-{hit['token_end']} of {hit['token_shard']}" if "token_shard" in hit else ""
        )
        lines.append(
            f"{hit['doc_id']} {place(hit)} {hit['set']} {hit['item']} overlap {hit['overlap']:.2f} "
            f"bytes {hit['start']}-{hit['end']}{tokens}"
        )
    lines.append(f"{result['documents_touched']:,} of {counted(result['documents'], 'document')} touched")
    return answer(json, result, "\n".join(lines))
