"""Predictions against published and measured figures: suites, their reports, and what the figures rest on."""
