"""TODO model/training/samples.py."""

from model.training import metrics
from model.training.trainer import Trainer
from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.folder import Run

SAMPLE_PROMPTS = 3


SAMPLE_PROMPT_TOKENS = 16


SAMPLE_TOKENS = 96


def write_samples(run: Run, trainer: Trainer) -> None:
    """Adds to ``metrics/samples.jsonl`` what the model makes of the first words of validation documents.

    Lines of this step and of later ones (of a training that was cut back to a checkpoint) are replaced.
    """
    import json

    from tokenizers import Tokenizer

    from model.evaluation.generate import Sampling, generate

    if trainer.corpus.validation is None or trainer.world.size > 1 or trainer.train.parallel == "fsdp":
        return
    tokenizer = Tokenizer.from_file(str(trainer.corpus.tokenizer))
    validation = trainer.corpus.validation
    before = [line for line in metrics.read_lines(run.root, layout.SAMPLES) if line["step"] < trainer.step]
    lines = [json.dumps(line, ensure_ascii=False) for line in before]
    trainer.model.eval()
    for number in range(min(SAMPLE_PROMPTS, validation.num_windows)):
        window = number * validation.num_windows // SAMPLE_PROMPTS
        prompt = validation.in_order(window, 1)[0][0, :SAMPLE_PROMPT_TOKENS].tolist()
        sampling = Sampling(temperature=0.8, top_k=50, seed=trainer.train.seed)
        end = trainer.corpus.end_of_text
        found = generate(trainer.model, prompt, max_new_tokens=SAMPLE_TOKENS, sampling=sampling, end_of_text=end)
        texts = [tokenizer.decode(tokens) for tokens in (prompt, list(found))]
        lines.append(json.dumps({"step": trainer.step, "prompt": texts[0], "text": texts[1]}, ensure_ascii=False))
    storage.publish_bytes(("\n".join(lines) + "\n").encode(), run.url(layout.SAMPLES), run.root)
    trainer.model.train()
