"""References of methods whose files they would outgrow: PyTorch programs, independent of any cascade."""
