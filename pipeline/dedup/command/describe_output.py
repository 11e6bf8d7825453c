"""What `tokenmill inspect OUT` shows of a dedup output: figures, and the largest clusters, two members side by side.

Of each cluster shown, the two are the removed record that is least like the one kept in its place, and that one.
"""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import RunError, UnansweredError, UserError, parse_json
from pipeline.base.side_by_side import Piece, side_by_side
from pipeline.base.words import printable
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import Part, file_at
from pipeline.dedup.files.own_outputs import REMOVED_FILE, SUMMARY
from pipeline.dedup.files.records import RecordReader
from pipeline.recipe.csv_options import Csv
from pipeline.run.table_files import read_table
from pipeline.run.tables import REMOVED

COLUMN_WIDTH = 58
CONTEXT_CHARACTERS = 160  # of what is the same before the first difference
LINES = 24


def describe_output(path: str, clusters: int) -> dict[str, Any]:
    """Summary and largest clusters, as ``tokenmill inspect`` gives them.

    Args:
        path: The output folder.
        clusters: Clusters to show.
    """
    summary = _summary(Path(path) / SUMMARY)
    rows = read_table(Path(path) / REMOVED_FILE, REMOVED)
    chosen = _largest(rows, clusters)
    places = [place for row in chosen for place in _places(row) if place[0] is not None]  # None: an earlier document
    texts = _texts(summary, places)
    shown = []
    for row in chosen:
        removed, kept = (texts.get(place) for place in _places(row))
        shown.append({**row, "sides": _sides(kept, removed) if removed is not None and kept is not None else None})
    lines = [f"{path}: dedup output", *(f"  {k}: {v:,}" for k, v in summary.items() if isinstance(v, int | float))]
    for row in shown:
        lines += _cluster_lines(row, summary)
    return {"path": path, "kind": "dedup", "summary": summary, "clusters": shown, "text": "\n".join(lines)}


def _largest(rows: pa.Table, count: int) -> list[dict[str, Any]]:
    """The least similar removed record of each of the largest clusters."""
    keys = [(name, "ascending") for name in ("cluster_id", "similarity", "number")]
    numbered = rows.append_column("number", pa.array(np.arange(rows.num_rows)))
    order = pc.sort_indices(numbered, [("cluster_size", "descending"), *keys]).to_numpy()
    ids = rows["cluster_id"].take(order).to_pylist()
    first = [number for number in range(len(ids)) if number == 0 or ids[number] != ids[number - 1]][:count]
    found: list[dict[str, Any]] = rows.take(order[first]).to_pylist()
    return found


def _places(row: Mapping[str, Any]) -> tuple[tuple[str, int], tuple[str, int]]:
    return (row["path"], row["row"]), (row["kept_path"], row["kept_row"])


def _texts(summary: Mapping[str, Any], places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Texts by path and row, from the input files as far as they are still there."""
    options = summary["options"]
    csv = Csv(**options["csv"]) if options.get("csv") else None
    wanted = WantedFields(options["text_field"], options["id_field"], csv=csv)
    found: dict[tuple[str, int], str] = {}
    for path in sorted({path for path, _ in places}):
        rows = {row for name, row in places if name == path}
        local = Path(summary["root"]) / path
        if not local.is_file():
            continue
        file = file_at(path, str(local))
        reader = RecordReader(Part.whole(file), wanted)
        try:
            for batch in reader.batches():
                for number in np.flatnonzero(np.isin(batch.rows, list(rows))).tolist():
                    found[path, int(batch.rows[number])] = batch.texts[number].as_py()
                if reader.rows > max(rows):
                    break
        except UnansweredError:
            raise
        except RunError:
            continue  # damaged since: the figures are still worth showing
    return found


def _sides(left: str, right: str) -> list[tuple[str, str]]:
    """Two columns of lines around the first difference; what only one side has stands in brackets."""
    same = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    start = max(0, same - CONTEXT_CHARACTERS)
    pieces = side_by_side(left[start:], right[start:])
    columns = [textwrap.wrap(_marked(side), COLUMN_WIDTH) for side in pieces]
    return [(a, b) for a, b in zip_longest(*columns, fillvalue="")]


def _marked(pieces: Sequence[Piece]) -> str:
    words = [piece.text if piece.same or not piece.text.strip() else f"[{piece.text.strip()}] " for piece in pieces]
    return printable(" ".join("".join(words).split()))


def _cluster_lines(row: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        f"cluster {row['cluster_id']}: {row['cluster_size']:,} records",
        f"  removed {row['id']} ({row['path']}, row {row['row']}): {row['rule']}, similarity {row['similarity']:.4f} "
        f"({row['intersection']:,} / {row['union']:,}), chosen by {row['chosen_by']}",
        f"  kept    {row['kept_id']} "
        + (f"({row['kept_path']}, row {row['kept_row']})" if row["kept_path"] else f"(earlier: {row['kept_corpus']})"),
    ]
    if row["sides"] is None:
        return [*lines, f"  their texts are not to be found below {summary['root']}"]
    lines.append(f"  {'kept':{COLUMN_WIDTH}} | removed")
    lines += [f"  {left:{COLUMN_WIDTH}} | {right}" for left, right in row["sides"][:LINES]]
    return lines if len(row["sides"]) <= LINES else [*lines, "  …"]


def _summary(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); `tokenmill dedup run` with --overwrite makes it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected the summary of `tokenmill dedup run`, found {type(found).__name__}")
    return found
