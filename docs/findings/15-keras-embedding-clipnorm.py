"""global_clipnorm clips an embedding's gradient by a wrong norm where a token occurs more than once.

Keras 3.15.1 on TensorFlow 2.21; on JAX and torch it is right. Measured in November 2026.
The gradient of token 0 is 4; clipped to a norm of 1, with a rate of 1, the step is -1.
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

model.compile(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=1.0), loss=lambda _, y: ops.sum(y))
model.fit(np.array([[0, 0, 0, 0]]), np.zeros((1, 4, 1)), verbose=0)
observed = [round(float(v), 6) for v in np.ravel(ops.convert_to_numpy(embedding.embeddings))]
expected = [-1.0, 0.0]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
