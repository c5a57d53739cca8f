"""The machine lightbound runs on: probed, predicted, measured, and the two compared."""
