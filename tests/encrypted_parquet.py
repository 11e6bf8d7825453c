"""A Parquet file of which a column is encrypted."""

import base64
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def encrypted(path: Path, rows: int) -> None:
    """A Parquet file whose footer and text are plain, and whose column ``secret`` is not."""
    import pyarrow.parquet.encryption as pe

    class Keys(pe.KmsClient):  # type: ignore[misc]
        def __init__(self, config: object) -> None:
            pe.KmsClient.__init__(self)

        def wrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64decode(key)

    factory = pe.CryptoFactory(Keys)
    config = pe.EncryptionConfiguration(footer_key="f", column_keys={"c": ["secret"]}, plaintext_footer=True)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    table = pa.table({"text": [f"Row {n} of it." for n in range(rows)], "secret": ["x" * 100] * rows})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
