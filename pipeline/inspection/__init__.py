"""Looks at what stands on disk, and changes nothing but what it is asked to remove.

- ``status``: the state of a run, in words from one table.
- ``verify``: every byte against its checksum; `verify --delete`.
- ``disk``: what a run keeps of its past; `clean-up`.
- ``manifests_of``: every manifest as it stands, the damaged ones too.
- ``describe``: what a table, a run folder or a dedup output holds.
- ``reasons``: counts of quarantined and excluded records by reason and by file.
"""
