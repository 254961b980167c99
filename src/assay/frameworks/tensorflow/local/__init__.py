"""Local definitions of written TensorFlow code, whose own layers live in Keras: `model.py` gets a copy of what it uses.

Arrays are channels-last. Nothing names a floating type, so that a model can be converted to float64. To assay these
files are source text; it never imports them.
"""
