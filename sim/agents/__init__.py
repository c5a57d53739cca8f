"""Agents that sense, compute, send and fuse, each period anew: the pipeline by events, and what it comes to."""
