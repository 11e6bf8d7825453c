"""Bytes of text that a token stands for: of the tokenizer that a recipe names, or of one that is trained on a sample.

It depends on script, language and vocabulary: on documentation with 4,096 entries a token is three bytes of English
and five of Russian.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.progress import working
from pipeline.recipe.options import Tokenize
from pipeline.tokens.tokenizer.engines import make_encoder
from pipeline.tokens.tokenizer.training import load_given, train

TEXT_BYTES = 2 << 20  # of the sample that is encoded
USUAL = 4.0  # where there is no text


def bytes_a_token(texts: Sequence[str], options: Tokenize) -> float:
    """Bytes of these texts for each token that they make.

    Args:
        texts: Of the documents that are kept.
        options: The tokenizer that is asked for.
    """
    size = sum(len(text.encode()) for text in texts)
    if not size:
        return USUAL
    with working("estimate: tokens of the sample"):
        config = options.model_dump()
        if options.tokenizer:
            definition = load_given(Path(storage.open_local(options.tokenizer)), config)
        else:
            definition = train([list(texts)], config)
        ids, _ = make_encoder("tokenizers", definition, cut_long_texts=True)(pa.array(texts, pa.large_string()))
    return size / max(1, int(np.size(ids)))
