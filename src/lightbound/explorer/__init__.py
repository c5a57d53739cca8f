"""A local page on which a workload, a machine and a kernel are chosen with controls, and what comes of it is seen.

It asks what the command line asks, through the same modules, and so answers what it answers.
"""
