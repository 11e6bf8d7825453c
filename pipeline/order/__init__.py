"""Which tokens are read when: the order of training as arithmetic, without torch.

- ``corpus``: opens the training tokens of a run and of those that it mixes in, in their order.
- ``windows``: the order: from a position to the window that is read there, and back.
- ``mixture``: which source each position reads.
- ``permutation``: which window of the source.
- ``streams``: where in the token shards the window lies.
- ``trained``: what a checkpoint was trained with, and whether that is still there.
- ``weights``: how much each source gives, from the recipes.
"""
