"""The graph that code is written from: which layout every value is stored in, calls, and the module tree that they stand in."""
