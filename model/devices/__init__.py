"""Devices and processes: what a training runs on.

``world``     the processes that train together
``hardware``  number formats, peak rates and prices of known devices
``gpus``      the visible GPUs, each locked while a training has it
"""
