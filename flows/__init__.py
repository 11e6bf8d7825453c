"""Prefect flows over the stages, and the command line.  The only place that imports Prefect."""
