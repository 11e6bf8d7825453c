"""From a document to the training steps that read it, and back.

- ``training``: the training order of a run: document -> steps, step -> documents.
- ``explain``: everything that a run knows of one document.
- ``trace``: everything in one global batch.
- ``licences``: tokens by licence in what was trained on.
- ``rights``: documents and tokens by opt-out, robot and licence: what heeding them costs.

Everything here works on the run folder alone, and loads neither torch nor Prefect.
"""
