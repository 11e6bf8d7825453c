"""Training and loader beside their peers: ``tokenmill bench train`` and ``bench loader`` start these programs.

``train``     against nanoGPT and transformers
``loader``    against nanoGPT's way of reading
``programs``  what peers run, each in a process of its own
"""
