"""Bridges to the tools that people watch trainings with; each is imported when a recipe asks for it, by one process.

``bridges``      opens those of ``train.loggers``, and gives each line of metrics to all of them
``tensorboard``, ``wandb``, ``mlflow``   one tool each
"""
