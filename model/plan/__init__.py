"""What a training will need, counted before anything is spent.  No torch.

``plan``    the answer of ``tokenmill plan``
``memory``  bytes on a device, by part
``enough``  whether model and steps suit the text there is
``flops``   parameters and operations
``outlook`` while it runs: where it stands, and how long all the rest takes
"""
