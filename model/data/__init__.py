"""Token shards as a training sees them.  The order of the windows is pipeline/order's.

``corpus``   the tokens of a run, opened, checked, counted
``batches``  windows as tensors: ``TokenDataset``
"""
