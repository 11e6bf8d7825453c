"""From what a person has in hand to a document's shard and row.

- ``find``: records by doc_id, URL, id, path, file name or any phrase, also those that became no document.
- ``found``: what was found; ``scans``: paths and phrases, which have no index.
- ``paths``: paths as people write them, beside those of the records.
- ``listing``: what was found, as a list for a person.
- ``locate``: a document by its doc_id, its record id or its URL.
- ``near_text``: the document that has a given text, or the one nearest to it.
- ``doc_ids``: the index index/doc_id.arrow, which the tokenize stage makes.
- ``keys``: the index index/keys.arrow of record ids and URLs.
"""
