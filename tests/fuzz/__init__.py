"""Inputs with small faults, by the million: nothing ends the process, hangs, loses a byte or leaves an array.

``files`` makes faulty files, each from its number, and ``trial`` reads one; ``scanners`` and ``kernels`` give odd bytes
to the compiled kernels, with Numba's bounds check on; ``run`` tries many, in processes of its own.
"""
