"""The version of lightbound, for those below the face that state it."""

VERSION = "0.1.0"
