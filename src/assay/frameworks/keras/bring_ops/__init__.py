"""How Keras' layers and operations become ONNX nodes, a file for each family; importing one registers its translations."""
