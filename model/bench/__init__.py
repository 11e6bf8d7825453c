"""Training and loader beside their peers: ``tokenmill bench train``, ``bench gpu`` and ``bench loader``.

``train``     against nanoGPT and transformers
``gpu``       a step on GPUs against nanoGPT, torchtitan and what ``plan`` expects
``loader``    against nanoGPT's way of reading
``programs``  what peers run, each in a process of its own
"""
