"""Named mappings: what papers chose, as plain data in the vocabulary of docs/mapping.md. No engine reads a name here."""
