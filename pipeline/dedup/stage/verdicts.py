"""Step ``dedup``: the verdicts on a shard, from the evidence that is found over all shards."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.rule.deduplicate import RULES
from pipeline.dedup.stage.corpus import alive_of_shard, doc_ids_of
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import open_table, read_range
from pipeline.run.tables import BATCH_ROWS, CLUSTERS, VERDICTS


def judge_shard(job: Job, outputs: Outputs) -> None:
    """Writes verdicts/dedup/NNNNN.arrow: dropped where there is a row of evidence, null where dropped before."""
    shard = job.config["shard"]
    doc_ids = doc_ids_of(outputs, [shard])
    alive = alive_of_shard(job, outputs, shard, len(doc_ids))
    evidence = _evidence(job, outputs)
    place = pc.index_in(doc_ids, value_set=evidence.column("doc_id"))
    removed = pc.is_valid(place).to_numpy(zero_copy_only=False)
    rules = evidence.column("rule").take(place.drop_null())
    keep = pa.array(~removed, pa.bool_(), mask=~alive)
    ends = pa.array(np.append(0, np.cumsum(removed)), pa.int32())
    reasons = pa.ListArray.from_arrays(ends, pc.binary_join_element_wise("dedup", rules, "."))
    with outputs.table(layout.verdicts("dedup", shard), VERDICTS) as writer:
        table = pa.Table.from_arrays([doc_ids, keep, reasons], schema=VERDICTS.schema)
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.write(batch)
    found = {item["values"]: item["counts"] for item in rules.value_counts().to_pylist()}
    counts = {rule: found[rule] for rule in RULES if rule in found}
    outputs.count(
        documents_in=int(alive.sum()), kept=int((alive & ~removed).sum()), dropped=int((alive & removed).sum())
    )
    outputs.count(reasons={f"dedup.{rule}": number for rule, number in counts.items()})


def _evidence(job: Job, outputs: Outputs) -> pa.RecordBatch:
    """The shard's rows; of a run that an earlier version made, the whole file is read to compare its checksum."""
    number, checksum = job.arguments["number"], job.arguments["checksum"]
    if checksum:
        return read_range(outputs.url(layout.EVIDENCE), CLUSTERS, number, checksum)
    return open_table(outputs.run_path(layout.EVIDENCE), CLUSTERS, ["doc_id", "rule"]).get_batch(number)
