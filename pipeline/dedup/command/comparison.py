"""Two texts side by side: exact and estimated similarity, and what would happen (``tokenmill dedup compare``)."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.dedup.rule.cost import catch_chance
from pipeline.dedup.rule.signing import Signer, band_keys
from pipeline.recipe.options import Dedup


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UserError: If it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path}: expected a text file: {error.strerror or error}; name another") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; convert it first, as with iconv") from error


def compare(left: str, right: str, options: Dedup) -> dict[str, Any]:
    """Compares two texts.

    Returns:
        Shingles, exact and estimated similarity, the bands that agree, the chance that a pair of this similarity is
        caught, and the outcome: ``exact`` | ``near`` | ``missed`` (similar, but no band agrees) | ``kept``.
    """
    signatures_NP, sets = Signer.of(options.minhash).sign_and_hash([left, right])
    one, two = (sets.hashes[sets.offsets[i] : sets.offsets[i + 1]] for i in range(2))
    common = len(np.intersect1d(one, two, assume_unique=True))
    union = len(one) + len(two) - common
    similarity = common / union if union else float(left == right)
    keys_BN = band_keys(signatures_NP, options.bands)
    bands = int((keys_BN[:, 0] == keys_BN[:, 1]).sum()) if len(one) and len(two) else 0
    if left == right:
        outcome = "exact"
    elif not union or similarity < options.threshold:
        outcome = "kept"
    else:
        outcome = "near" if bands else "missed"
    return {
        "shingles": [len(one), len(two)],
        "intersection": common,
        "union": union,
        "similarity": similarity,
        "estimated_similarity": float((signatures_NP[0] == signatures_NP[1]).mean()) if union else similarity,
        "bands_equal": bands,
        "chance": catch_chance(similarity, options.bands, options.rows),
        "threshold": options.threshold,
        "outcome": outcome,
    }


OUTCOMES = {
    "exact": "the texts are equal: one of them is removed, rule exact",
    "near": "one of them is removed, rule near",
    "missed": "similar enough, but no band of their signatures agrees: both are kept; more bands catch such pairs",
    "kept": "below the threshold: both are kept",
}
