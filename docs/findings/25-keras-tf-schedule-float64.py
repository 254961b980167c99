"""A learning-rate schedule computes in float32 on TensorFlow whatever floatx is.

Keras 3.15.1 on TensorFlow 2.21. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/optimizers/schedules/learning_rate_schedule.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras

keras.config.set_floatx("float64")
rate = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)(1)
observed, expected = (rate.dtype.name, float(rate)), ("float64", 0.1 * 0.9 ** (1 / 3))

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(abs(observed[1] - expected[1]) > 1e-14)))
