"""Definitions that written Keras code copies where it uses them: one file per operator family."""
