"""Machines: the schema, its units, and the library of machines in data/."""
