"""Checkpoints in Hugging Face's form, out and in.

``folder``     weights, tokenizer and configuration files of a folder
``card``       the README.md beside them
``hf_config``  ``ModelConfig`` <-> ``config.json``
"""
