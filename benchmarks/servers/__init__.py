"""The servers under measurement, one module each."""
