"""The verbs of assay: each leads a model through the stages and returns the last one's result."""
