"""The ground floor in Python: what every folder may import, and what imports none of them.

It holds the one error type and the formulas that machines and mappings are written in.
"""
