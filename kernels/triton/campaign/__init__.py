"""The measurement campaign: every kernel of the catalogue over its shapes on a GPU, into a file of records.

It imports torch, triton, numpy and the standard library only, so that it runs from a checkout on a machine that has
just those::

    PYTHONPATH=src python -m lightbound.kernels.triton.campaign --out h200.jsonl --budget 480s --peers

plan.py says what is timed and in which order, timing.py how, records.py what is kept; nothing else writes records.
"""
