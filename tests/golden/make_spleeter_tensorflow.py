"""Writes checkpoints with real TensorFlow, and what the published Spleeter makes of a mixture with them.

Needs tensorflow-cpu 2.21, tf_keras 2.21 and norbert 0.2.1 (never in the test environment), and a checkout of
the published code, github.com/deezer/spleeter. Run from the repository's root:

    TF_USE_LEGACY_KERAS=1 python tests/golden/make_spleeter_tensorflow.py CHECKOUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow.compat.v1 as tf

# Imported for what is not used here.
for name in ("pandas", "scipy", "scipy.ndimage", "scipy.ndimage.filters"):
    sys.modules[name] = ModuleType(name)
sys.modules["scipy.ndimage"].gaussian_filter = None
sys.modules["scipy.ndimage.filters"].gaussian_filter1d = None
sys.path.insert(0, sys.argv[1])
from spleeter.model import EstimatorSpecBuilder  # noqa: E402 - found only now

FOLDER = Path(__file__).with_name("spleeter_tensorflow")
PLAIN, ELUS = {}, {"conv_activation": "ELU", "deconv_activation": "ELU"}
UNET, SOFTMAX = "unet.unet", "unet.softmax_unet"
# The published kinds: sources, function and activations. Few channels and small frames do here.
MODELS = {
    "2stems": (["vocals", "accompaniment"], UNET, PLAIN),
    "4stems": (["vocals", "drums", "bass", "other"], UNET, ELUS),
    "5stems": (["vocals", "piano", "drums", "bass", "other"], SOFTMAX, ELUS),
}
# By the name of an answer: the model whose weights make it, and what a user may change.
ANSWERS = {
    "2stems": ("2stems", {}),
    "4stems": ("4stems", {}),
    "5stems": ("5stems", {}),
    "more_bins": ("2stems", {"F": 128}),
    "average": ("4stems", {"mask_extension": "average", "separation_exponent": 1}),
    "filter": ("4stems", {"MWF": True}),
}
SIZES = {
    "mix_name": "mix",
    "n_channels": 2,
    "frame_length": 256,
    "frame_step": 64,
    "T": 64,
    "F": 64,
    "separation_exponent": 2,
    "mask_extension": "zeros",
}
WIDTHS = [2, 3, 2, 3, 2, 4]
LENGTH = 5001  # samples: a piece of 64 frames, and a part of one more
EVERY = 11  # of the answers' samples, one in so many is kept


def draw(session: tf.Session, variables: list[tf.Variable], seed: int) -> None:
    """Values for all variables, also the biases and statistics, which begin as zeros and ones."""
    generator = np.random.default_rng(seed)
    for variable in variables:
        shape = variable.shape.as_list()
        scale = 1.5 / np.sqrt(np.prod(shape[:-1])) if len(shape) > 1 else 0.3
        values = generator.normal(0, scale, shape)
        positive = variable.name.split("/")[-1].startswith(("gamma", "moving_variance"))
        variable.load(1 + np.abs(values) if positive else values, session)


def answer(name: str, mixture: np.ndarray) -> np.ndarray:
    """Estimates of a mixture; under its own name a model's weights are written, too."""
    model, changes = ANSWERS[name]
    sources, function, activations = MODELS[model]
    params = {"type": function, "params": {**activations, "conv_n_filters": WIDTHS}}
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder = tf.placeholder(tf.float32, (None, 2))
        settings = {**SIZES, "instrument_list": sources, "model": params, **changes}
        builder = EstimatorSpecBuilder({"waveform": placeholder}, settings)
        estimates, variables = builder.outputs, tf.global_variables()
        if name != model:
            tf.train.Saver(variables).restore(session, str(FOLDER / model))
        else:
            if name == "2stems":  # with the optimiser's slots
                loss = tf.add_n([tf.reduce_sum(output) for output in builder.model_outputs.values()])
                tf.train.AdamOptimizer(1e-4).minimize(loss, tf.train.get_or_create_global_step())
            session.run(tf.global_variables_initializer())
            draw(session, variables, len(sources))
            tf.train.Saver().save(session, str(FOLDER / name), write_meta_graph=False, write_state=False)
        result = session.run(estimates, {placeholder: mixture})
    return np.stack([result[source].T for source in sources])


if __name__ == "__main__":
    tf.disable_eager_execution()
    FOLDER.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(-128, 128, (LENGTH, 2), dtype=np.int8)
    mixture = noise.astype(np.float32) / 128
    answers = {name: answer(name, mixture)[..., ::EVERY] for name in ANSWERS}
    np.savez_compressed(FOLDER / "answers.npz", mixture=noise.T, **answers)
