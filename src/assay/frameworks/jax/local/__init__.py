"""Local definitions that written JAX code uses where JAX and Flax NNX have nothing with the stated meaning.

`model.py` gets a copy of what it uses; to assay these files are source text.
"""
