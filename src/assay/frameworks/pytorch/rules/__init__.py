"""How PyTorch says each operator, by family. `common.py` holds the table that they register in."""
