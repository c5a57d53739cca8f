"""Many predictions from one description: a grid of points, spread over processes or a cluster, kept in one file."""
