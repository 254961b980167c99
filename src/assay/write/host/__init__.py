"""Local definitions in plain NumPy that every framework's written code may use, for what no framework computes itself.

They are for values that carry no gradient: strings, look-up tables, results whose size depends on the data. Code here is
copied into written packages where it is used; it imports NumPy (as `np`) and the standard library only.
"""
