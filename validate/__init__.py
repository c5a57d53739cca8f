"""Predictions against published and measured figures."""
