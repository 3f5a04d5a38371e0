"""Writes checkpoints with real TensorFlow, and what the published Wave-U-Net makes of a mixture with them.

Needs tensorflow-cpu 2.21 and tf_keras 2.21 (never in the test environment), and a checkout of the published
code, github.com/f90/Wave-U-Net. Run from the repository's root:

    TF_USE_LEGACY_KERAS=1 python tests/golden/make_tensorflow_bundle.py CHECKOUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow.compat.v1 as tf

sys.modules["tensorflow"] = tf  # the published code knows TensorFlow 1 only,
sys.modules["librosa"] = ModuleType("librosa")  # and imports this for what is not used here
sys.path.insert(0, sys.argv[1])
from Models.UnetAudioSeparator import UnetAudioSeparator  # noqa: E402 - found only now

FOLDER = Path(__file__).with_name("wave_u_net_tensorflow")
TWO, FOUR = ["accompaniment", "vocals"], ["bass", "drums", "other", "vocals"]
# The published kinds M1 to M6, with few channels and levels.
KINDS = {
    "m1": {"mono_downmix": True, "output_type": "direct", "context": False, "upsampling": "linear"},
    "m2": {"mono_downmix": True, "output_type": "difference", "context": False, "upsampling": "linear"},
    "m3": {"mono_downmix": True, "output_type": "difference", "context": True, "upsampling": "linear"},
    "m4": {"mono_downmix": False, "output_type": "difference", "context": True, "upsampling": "linear"},
    "m5": {"mono_downmix": False, "output_type": "difference", "context": True, "upsampling": "learned"},
    "m5_without_context": {
        "mono_downmix": False,
        "output_type": "difference",
        "context": False,
        "upsampling": "learned",
    },
    "m6": {"mono_downmix": False, "output_type": "difference", "context": True, "upsampling": "linear"},
}
SIZES = {
    "num_layers": 2,
    "num_initial_filters": 3,
    "filter_size": 15,
    "input_filter_size": 15,
    "merge_filter_size": 5,
    "output_filter_size": 1,
    "output_activation": "tanh",
}
WANTED = 32  # output samples


def save(name: str, session: tf.Session, saver: tf.train.Saver) -> None:
    saver.save(session, str(FOLDER / name), write_meta_graph=False, write_state=False)


def write_kind(name: str, kind: dict[str, object]) -> None:
    """One checkpoint of the separator, with the optimiser's slots for one kind, and its estimates."""
    generator = np.random.default_rng(sum(name.encode()))
    sources = FOUR if name == "m6" else TWO
    separator = UnetAudioSeparator({**SIZES, **kind, "source_names": sources})
    given, _ = separator.get_padding([1, WANTED, 0])
    mixture = generator.uniform(-1, 1, size=[int(size) for size in given]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, mixture.shape)
        estimates = separator.get_output(placeholder, training=False, reuse=False)
        variables = tf.trainable_variables()
        if name == "m1":
            loss = tf.add_n([tf.reduce_sum(estimate) for estimate in estimates.values()])
            step = tf.Variable(7, trainable=False, name="global_step", dtype=tf.int64)
            with tf.variable_scope("separator_solver"):
                tf.train.AdamOptimizer(1e-4).minimize(loss, global_step=step)
        session.run(tf.global_variables_initializer())
        for variable in variables:  # also the biases, which begin as zeros; large enough that clipping shows
            scale = 1.5 / np.sqrt(np.prod(variable.shape.as_list()[:-1]) or 1)
            variable.load(generator.normal(0, scale, variable.shape.as_list()), session)
        result = session.run(estimates, {placeholder: mixture})
        save(name, session, tf.train.Saver(write_version=tf.train.SaverDef.V2))
    stacked = np.stack([result[source][0].T for source in sources])
    np.savez_compressed(FOLDER / f"{name}.npz", mixture=mixture[0].T, estimates=stacked)


def write_kinds_of_values() -> None:
    """Every kind of number, a scalar, nothing at all, in one shard and in two; and variables in pieces."""
    kinds = {
        "float16": (3,),
        "bfloat16": (2, 2),
        "float32": (2, 3, 4),
        "float64": (5,),
        "uint8": (3,),
        "int8": (3,),
        "int16": (3,),
        "int32": (),
        "int64": (0, 3),
    }
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
        for number, (kind, shape) in enumerate(kinds.items()):
            count = int(np.prod(shape))
            values = tf.constant(np.reshape(np.arange(count) - number, shape) / 4)
            with tf.device(f"/cpu:{number % 2}"):
                tf.Variable(tf.cast(values, kind), name=f"folder/of_{kind}")
        session.run(tf.global_variables_initializer())
        save("values", session, tf.train.Saver())
        save("two_shards", session, tf.train.Saver(sharded=True))
    with tf.Graph().as_default(), tf.Session() as session:
        pieces = tf.fixed_size_partitioner(2)
        tf.get_variable("v", (4, 2), initializer=tf.zeros_initializer(), partitioner=pieces)
        session.run(tf.global_variables_initializer())
        save("sliced", session, tf.train.Saver())


if __name__ == "__main__":
    tf.disable_eager_execution()
    FOLDER.mkdir(exist_ok=True)
    for name, kind in KINDS.items():
        write_kind(name, kind)
    write_kinds_of_values()
