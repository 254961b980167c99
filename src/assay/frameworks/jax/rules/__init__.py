"""The rules of JAX's lowering table by family of operators, the same families as in every framework."""
