"""Files with small faults, by the million: no reader ends the process, hangs, or loses a byte.

``files`` makes them, each from its number; ``trial`` reads one; ``run`` tries many, in processes of its own.

    python -m tests.fuzz.run --seconds 600 --first 0
"""
