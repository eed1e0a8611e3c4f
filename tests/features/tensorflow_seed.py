"""Run by a test as a program of its own: the seed's network in TensorFlow operations, with random weights.

python tensorflow_seed.py FOLDER writes FOLDER/model.ckpt.{index,data-...} with the released names, and
FOLDER/result.npz with an image and its 128 features, once with the statistics of the image and once with the running
ones. Knows nothing of softseg.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
RNG = np.random.default_rng(7)
SIZE = (64, 77)
MEAN = (104.00698793, 116.66876762, 122.67891434)


def variable(name, values):
    with tf1.variable_scope("", reuse=tf1.AUTO_REUSE):
        return tf1.get_variable(name, initializer=np.asarray(values, dtype=np.float32))


WEIGHTS = {}  # both passes share one draw


def drawn(name, draw):
    if name not in WEIGHTS:
        WEIGHTS[name] = variable(name, draw())
    return WEIGHTS[name]


def kernel(name, shape, gain=2.0):
    fan_in = np.prod(shape[:-1])
    return drawn(name, lambda: RNG.normal(0, np.sqrt(gain / fan_in), shape))


def norm(x, name, training, low=0.5, high=1.5):
    count = x.shape[-1]
    gamma = drawn(f"{name}/gamma", lambda: RNG.uniform(low, high, count))
    beta = drawn(f"{name}/beta", lambda: RNG.normal(0, 0.1, count))
    mean = drawn(f"{name}/moving_mean", lambda: RNG.normal(0, 0.2, count))
    variance = drawn(f"{name}/moving_variance", lambda: RNG.uniform(0.5, 2, count))
    if training:
        return tf1.nn.fused_batch_norm(x, gamma, beta, epsilon=0.001, is_training=True)[0]
    return tf1.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon=0.001, is_training=False)[0]


def unit(x, name, size, out, training, stride=1, rate=1, gain=2.0, **scale):
    weights = kernel(
        f"res{name}/weights" if name[0] in "2345" else f"{name}/weights", (size, size, x.shape[-1], out), gain
    )
    x = tf.nn.conv2d(x, weights, stride, "SAME", dilations=rate)
    return norm(x, f"bn{name}" if name[0] in "2345" else f"bn_{name}", training, **scale)


def block(x, name, width, training, stride=1, rate=1, project=False):
    y = tf.nn.relu(unit(x, f"{name}_branch2a", 1, width, training, stride))
    y = tf.nn.relu(unit(y, f"{name}_branch2b", 3, width, training, rate=rate))
    y = unit(y, f"{name}_branch2c", 1, 4 * width, training, low=0.1, high=0.4)
    if project:
        x = unit(x, f"{name}_branch1", 1, 4 * width, training, stride)
    return x + y


def tap(x, number, size, out, full):
    scope = f"hypercolumn_layers/hc_cv_{number}"
    y = tf.nn.conv2d(x, kernel(f"{scope}/weights", (size, size, x.shape[-1], out), 1.0), 1, "SAME")
    y = y + drawn(f"{scope}/biases", lambda: RNG.normal(0, 0.2, out))
    return tf1.image.resize_bilinear(y, full, align_corners=False)


def low_rank(x, name, rank, out):
    scope = f"{name}_matting/linear"
    x = tf.matmul(x, kernel(f"{scope}/fc_weights1", (x.shape[-1], rank), 1.0))
    x = tf.matmul(x, kernel(f"{scope}/fc_weights2", (rank, out)))
    return tf.nn.relu(x + drawn(f"{scope}/biases", lambda: RNG.normal(0, 0.2, out)))


def network(image, training):
    x = image[..., ::-1] * 255.0 - np.array(MEAN, dtype=np.float32)
    photo = tf.pad(x, [[0, 0], [50, 50], [50, 50], [0, 0]], "REFLECT")
    full = photo.shape[1:3]
    x = tf.nn.relu(unit(photo, "conv1", 7, 64, training, stride=2, gain=1 / 50**2))
    pool1 = x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    for name in ("2a", "2b", "2c"):
        x = tf.nn.relu(block(x, name, 64, training, project=name == "2a"))
    for name in ("3a", "3b1", "3b2", "3b3"):
        x = tf.nn.relu(block(x, name, 128, training, stride=2 if name == "3a" else 1, project=name == "3a"))
    stage3 = x
    for name in ("4a", *(f"4b{i}" for i in range(1, 23))):
        x = tf.nn.relu(block(x, name, 256, training, rate=2, project=name == "4a"))
    stage4 = x
    for name in ("5a", "5b", "5c"):
        x = block(x if name == "5a" else tf.nn.relu(x), name, 512, training, rate=4, project=name == "5a")
    taps = [
        tap(photo / 128.0, 0, 1, 4, full),
        tap(pool1, 1, 1, 124, full),
        tap(stage3, 3, 1, 128, full),
        tap(stage4, 4, 3, 256, full),
        tap(x, 5, 3, 512, full),
    ]
    columns = tf.nn.relu(tf.reshape(tf.concat(taps, 3), (-1, 1024)))
    first = low_rank(columns, "fc1", 256, 512)
    second = low_rank(first, "fc2", 256, 512)
    scope = "fc3_matting/linear"
    features = tf.matmul(tf.concat([first, second], 1), kernel(f"{scope}/fc_weights1", (1024, 128), 1.0))
    features = features + drawn(f"{scope}/fc_biases", lambda: RNG.normal(0, 0.2, 128))
    return tf.reshape(features, (full[0], full[1], 128))[50:-50, 50:-50]


def main(folder: Path) -> None:
    tf1.disable_eager_execution()
    image = RNG.random((*SIZE, 3)).astype(np.float32)
    own, running = (network(tf.constant(image[None]), training) for training in (True, False))
    variable("conv1/weights/Momentum", np.zeros((7, 7, 3, 64)))
    variable("fc1_voc12_c0/biases", np.zeros(21))
    tf1.train.create_global_step()
    threads = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf1.Session(config=threads) as session:
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, str(folder / "model.ckpt"), write_meta_graph=False)
        features = session.run({"own": own, "running": running})
    np.savez(folder / "result.npz", image=image, **features)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
