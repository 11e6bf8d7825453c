"""What a model is worth: validation, questions, sample text.

``scoring``      a run's last checkpoint: ``tokenmill eval`` and ``tokenmill sample``
``evaluate``     loss and bits per byte on a validation set
``prefix_tree``  texts that begin alike, each beginning read once
``generate``     text from a model
"""
