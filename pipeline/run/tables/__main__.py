"""Prints docs/formats.md: every table with its columns."""

import sys

from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES, SHARD_TEXT_BYTES, TABLES


def formats_page() -> str:
    """The text of docs/formats.md."""
    lines = [
        "# Formats",
        "",
        "Every table on disk, with its columns. Generated from `pipeline/run/tables/` by",
        "`python -m pipeline.run.tables`; a test keeps it so.",
        "",
        "Every table is an Arrow IPC file. Its schema metadata carries `tokenmill.table` (the name) and",
        "`tokenmill.format` (`major.minor`); a reader accepts its own major version only. Record batches close at",
        f"{BATCH_TEXT_BYTES >> 20} MiB of text or {BATCH_ROWS:,} rows, shards at {SHARD_TEXT_BYTES >> 20} MiB of text.",
    ]
    for table in TABLES:
        version = f"{table.version[0]}.{table.version[1]}"
        lines += ["", f"## {table.name} (format {version})", ""]
        lines += [f"Where: `{table.folder}`. Order: {table.order}. Compression: {table.compression or 'none'}.", ""]
        lines += ["| column | type | null | what it holds |", "|---|---|---|---|"]
        for column in table.columns:
            kind = str(column.type).replace("|", "\\|")
            description = column.description.replace("|", "\\|")
            lines.append(f"| `{column.name}` | {kind} | {'yes' if column.nullable else 'no'} | {description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(formats_page())
