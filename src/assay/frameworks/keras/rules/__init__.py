"""Keras' lowering table by operator family."""
