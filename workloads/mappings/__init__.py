"""Named mappings: what papers chose, as plain data (docs/mapping.md). No engine reads a name here."""
