"""Local definitions that written PyTorch code uses where torch has no operation or layer with the stated meaning.

They are copied into packages where they are used, each with what it uses in turn.
"""
