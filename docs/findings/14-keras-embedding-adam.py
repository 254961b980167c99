"""Adam squares an embedding's gradient before the rows of a token that occurs twice are added.

Keras 3.15.1 on TensorFlow 2.21; on JAX and torch it is right. Measured in November 2026.
The gradient of token 0 is 2, the second moment (1 - 0.999) * 2 ** 2.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/tensorflow/sparse.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import ops

embedding = keras.layers.Embedding(2, 1, embeddings_initializer="zeros")
model = keras.Sequential([embedding])

model.compile(optimizer=keras.optimizers.Adam(0.1), loss=lambda _, y: ops.sum(y))
model.fit(np.array([[0, 0, 1]]), np.zeros((1, 3, 1)), verbose=0)
observed = [round(float(v), 6) for v in np.ravel(ops.convert_to_numpy(model.optimizer.variables[-1]))]
expected = [0.004, 0.001]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
