"""What the flows of one run share.

``session``        the open run: lock, workers, progress, artifacts
``stages``         the stages by name
``artifacts``      what a run shows on Prefect's artifact pages
``parameters``     types of the flows' parameters, with their bounds
``bounded``        flows that say in a sentence which parameters are too large
``command_child``  one of our commands as a child of a flow or of a Python program
"""
