"""assay: one model, every deep-learning framework: written as native code, proven equal, measured fairly, yours to keep."""

__version__ = "0.1.0"
