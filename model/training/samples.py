"""``metrics/samples.jsonl``: what the model makes of the first words of some validation documents, as it learns."""

import json
from collections.abc import Callable

from model.devices.hardware import uncompiled
from model.evaluation.generate import Sampling, generate
from model.training.metrics import read_lines
from model.training.prepare import Prepared
from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.tokenizer import Tokenizer

PROMPTS = 3
PROMPT_TOKENS = 16
TOKENS = 96


def sample_tokens(prepared: Prepared) -> int:
    """Tokens that are written at a time, at most; 0 for a training that writes none."""
    alone = prepared.world.size == 1 and prepared.run.recipe.train.parallel != "fsdp"
    if not alone or prepared.corpus.validation is None:
        return 0
    return TOKENS * min(PROMPTS, prepared.corpus.validation.num_windows)


def write_samples(prepared: Prepared, step: int, heard: Callable[[int, int], None]) -> None:
    """Adds the texts that the model writes after ``step`` steps; one process that holds the whole model does it.

    Lines of this step and of later ones (of a training that was cut back to a checkpoint) are replaced.  ``heard`` is
    told how many of how many texts are done.
    """
    run, corpus, model = prepared.run, prepared.corpus, prepared.model
    if corpus.validation is None or not sample_tokens(prepared):
        return
    tokenizer = Tokenizer.open(corpus.tokenizer)
    sampling = Sampling(temperature=0.8, top_k=50, seed=run.recipe.train.seed)
    lines = [line for line in read_lines(run.root, layout.SAMPLES) if line["step"] < step]
    model.eval()
    prompts = min(PROMPTS, corpus.validation.num_windows)
    for number in range(prompts):
        heard(number, prompts)
        window = number * corpus.validation.num_windows // PROMPTS
        prompt = corpus.validation.in_order(window, 1)[0][0, :PROMPT_TOKENS].tolist()
        with uncompiled(run.recipe.train.compile, prepared.world.device):
            found = [*generate(model, prompt, max_new_tokens=TOKENS, sampling=sampling, end_of_text=corpus.end_of_text)]
        texts = (tokenizer.text(ids, special=False) for ids in (prompt, found))
        lines.append({"step": step, **dict(zip(("prompt", "text"), texts, strict=True))})
    model.train()
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    storage.publish_bytes(data.encode(), run.url(layout.SAMPLES), run.root)
