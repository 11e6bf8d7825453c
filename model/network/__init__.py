"""The network: token ids to logits or to a loss, in plain torch.  Each module knows only those below it.

``transformer``  every learnable part, in order
``loss``         cross-entropy from the last hidden states, a chunk of logits at a time
``attention``    who may attend to whom, positions, the key-value cache
``ops``          the one door to hardware: which kernels a tensor's device gets
``cpu_ops``      the kernels for a CPU, with backward passes of their own
``config``       what defines a model; no torch
"""
