"""decontamination."""
