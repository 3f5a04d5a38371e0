"""Writes what the published VR program makes of seeded noise, and the names and shapes of its weights.

Kept are a few places of each layout's spectrum and signal, and of what the program separates with two small
networks, with the resampling of Apple's processors, which is the one that needs no library of its own. Needs
`audio-separator` 0.47.1 and `pymss-core` 0.1.14, and `librosa` 0.11.0 with `scipy` and `numba`.
Run from the repository's root: PYTHONPATH=tests python tests/golden/make_vr_net.py
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import torch

from networks.tiny import lively
from reference.published_vr import (
    PROGRAMS,
    bands_of,
    noise,
    places,
    published_layout,
    published_network,
    published_program,
    track,
    weights_of,
)
from unbraid.networks.vr_net import Config, VRNet

FOLDER = Path(__file__).parent
NETWORKS = {
    "vr_net": Config(),
    "vr_net_small": Config(channels=16),
    "vr_net_seven_views": Config(channels=64, views=7),
    "vr_net_five_levels": Config(channels=16, levels=5, views=6),
    "vr_net_recurrent": Config(layout="4band_v3", channels=48, recurrence=128),
    "vr_net_recurrent_wide": Config(layout="4band_v3", channels=64, recurrence=128),
}


def analysed(tools, layout, wave, *, recurrent):
    """The spectrum of a signal `(2, T)`, and that of its highest band."""
    bands = layout.param["band"]
    for number in range(len(bands), 0, -1):
        band = bands[number]
        if number < len(bands):
            above = bands[number + 1]["sr"]
            wave = librosa.resample(wave, orig_sr=above, target_sr=band["sr"], res_type="polyphase")
        yield (
            number,
            tools.wave_to_spectrogram(
                wave, band["hl"], band["n_fft"], layout, band=number, is_v51_model=recurrent
            ),
        )


def there_and_back(tools, name, *, recurrent):
    """A spectrum, and the signal that is made of it."""
    layout = published_layout(name)
    spectra = dict(analysed(tools, layout, noise(name), recurrent=recurrent))
    spectrum = tools.combine_spectrograms(spectra, layout, is_v51_model=recurrent)
    return spectrum, tools.cmb_spectrogram_to_wave(spectrum.copy(), layout, is_v51_model=recurrent)


def separated(tools, program, config):
    """Both stems of a signal, as the program makes them, `(2, 2, T)`."""
    network = VRNet(config)
    theirs = published_network(config).eval()
    theirs.load_state_dict(weights_of(lively(network.state_dict()), theirs))
    layout = published_layout(config.layout)
    spectra = dict(analysed(tools, layout, track(config), recurrent=config.recurrence > 0))
    top = layout.param["band"][len(spectra)]
    half, high = top["n_fft"] // 2, config.bands.mirrored
    state = SimpleNamespace(
        model_run=theirs,
        model_params=layout,
        logger=logging.getLogger("vr"),
        enable_tta=False,
        enable_post_process=False,
        batch_size=1,
        window_size=config.window,
        primary_stem_name="Instrumental" if config.accompaniment else "Vocals",
        is_vr_51_model=config.recurrence > 0,
        high_end_process=config.mirror,
        input_high_end_h=high,
        input_high_end=spectra[len(spectra)][:, half - high : half, :],
    )
    aggressiveness = {
        "value": config.aggressiveness,
        "split_bin": layout.param["band"][1]["crop_stop"],
        "aggr_correction": None,
    }
    spectrum = tools.combine_spectrograms(spectra, layout, is_v51_model=config.recurrence > 0)
    stems = program.inference_vr(state, spectrum, "cpu", aggressiveness)
    return np.stack([program.spec_to_wav(state, stem) for stem in stems])


if __name__ == "__main__":
    torch.set_num_threads(1)
    answers = {}
    with published_program() as (tools, program):
        tools.wav_resolution = "polyphase"
        for name, recurrent in bands_of():
            for what, value in zip(
                ("spectrum", "signal"), there_and_back(tools, name, recurrent=recurrent), strict=True
            ):
                answers[f"{name}/{recurrent}/{what}"] = value.ravel()[places(value.size)]
                answers[f"{name}/{recurrent}/{what}/norm"] = np.linalg.norm(value)
        for name, config in PROGRAMS.items():
            stems = separated(tools, program, config)
            answers[f"{name}/stems"] = stems.ravel()[places(stems.size, 4000)].astype(np.float32)
            answers[f"{name}/stems/norm"] = np.linalg.norm(stems)
    np.savez_compressed(FOLDER / "vr_net.npz", **answers)
    for name, config in NETWORKS.items():
        with torch.device("meta"):
            weights = published_network(config).state_dict()
        shapes = {
            f"cascade.{key}": list(value.shape)
            for key, value in sorted(weights.items())
            if not key.startswith("aux") and ".aspp.conv7." not in key
        }
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in shapes.items())
        (FOLDER / f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
