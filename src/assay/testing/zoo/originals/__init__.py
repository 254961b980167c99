"""The source's own model, alive: for each framework a session of the live object instead of a written package.

`<framework>.py` has `Original(model, example, training)`, of which `proving.run` asks what it asks of a `Session`:
`state`, `variables`, `set_state`, `place`, `predict`, `numpy`, `gradients`, `begin_training`, `train_step`, `wait`, `set_dropout`. Paths
are the source's names of parameters, as `assay.write.weights.origins` has them; arrays come in the graph's order of inputs
and outputs. It computes in float64, and nothing in it is random: dropout of every kind is off in training too.
"""
