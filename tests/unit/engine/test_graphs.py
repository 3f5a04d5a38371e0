"""Layers as graphs: every network gives the answer of PyTorch, whatever runs its layers."""

from __future__ import annotations

import pytest
import torch

from fakes import Gain, spec_of
from networks.tiny import TINY
from signals import noise
from unbraid.engine.backends.choose import Loaded, backend, candidates
from unbraid.engine.backends.eager import EagerBackend
from unbraid.engine.backends.graphs import GraphBackend
from unbraid.engine.backends.onnx import OnnxMaker, providers
from unbraid.engine.backends.openvino import OpenVinoMaker
from unbraid.engine.chain import Chain
from unbraid.engine.ensemble import Ensemble
from unbraid.engine.plan import Plan
from unbraid.engine.runtime import Engine, Precision, Runtime, engine_of, precision_of
from unbraid.errors import MachineError, ModelError, UsageError
from unbraid.networks import ARCHITECTURES
from unbraid.networks.base import build
from unbraid.networks.layers import dconv
from unbraid.spec import ModelSpec

EXACT_DB = 90  # what "exact" promises
METHODS = {"hpss", "nmf", "repet", "repet_sim", "centre", "rpca"}  # they have no layers
PICTURES = {"segm", "torchseg", "swin_upernet"}  # their layers are other packages', which tests lack
# Frames by `unfold`, which OpenVINO's reader lacks and whose sizes ONNX' exporter does not follow.
UNREADABLE = {("conv_tasnet", Engine.OPENVINO), ("conv_tasnet", Engine.ONNX)}


def snr_db(reference, estimate):
    return 20 * torch.log10(reference.norm() / (estimate - reference).norm()).item()


def tiny(architecture):
    return build(architecture, TINY[architecture], seed=3).eval()


def loaded(network, **facts):
    return Loaded(network, network.spec, network.spec.segment, **facts)


class Halves(torch.nn.Module):
    """Two sources, each half of the mixture; says how often its layers ran in PyTorch."""

    def __init__(self, value=0.5):
        super().__init__()
        self.spec = spec_of(100)
        self.value = value
        self.ran = 0

    def forward(self, mixture):
        return self.around(self.inner, mixture)

    def around(self, inner, mixture):
        return inner(mixture)[0]

    def inner(self, mixture):
        self.ran += 1
        return (torch.stack([self.value * mixture, self.value * mixture], 1),)


class FakeMaker:
    """Counts what it makes; its graphs are the layers themselves, and an eighth louder."""

    title = "a fake"

    def __init__(self):
        self.made = []

    def make(self, layers, _, name):
        self.made.append(name)
        return lambda *features: tuple(1.125 * value for value in layers(*features))

    def close(self):
        self.made.append("closed")


@pytest.mark.parametrize("engine", [Engine.OPENVINO, Engine.ONNX])
@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - METHODS - PICTURES))
def test_every_network_gives_its_exact_answer_as_a_graph(architecture, engine):
    if (architecture, engine) in UNREADABLE:
        pytest.skip("its runtime cannot read it, as the next test says")
    network = tiny(architecture)
    mixture = 0.1 * noise(network.spec.segment)[None]
    expected = EagerBackend(network, network.spec, Runtime("cpu")).run(mixture)
    runner = backend(loaded(network), Runtime("cpu", engine=engine))
    assert snr_db(expected, runner.run(mixture)) > EXACT_DB


@pytest.mark.parametrize("engine", [Engine.OPENVINO, Engine.ONNX])
def test_a_recurrence_in_pieces_gives_its_exact_answer_as_a_graph(monkeypatch, engine):
    monkeypatch.setattr(dconv, "_MAX_STEPS", 4)
    network = tiny("hdemucs")
    mixture = 0.1 * noise(network.spec.segment)[None]
    expected = EagerBackend(network, network.spec, Runtime("cpu")).run(mixture)
    assert snr_db(expected, backend(loaded(network), Runtime("cpu", engine=engine)).run(mixture)) > EXACT_DB


@pytest.mark.parametrize(("architecture", "engine"), sorted(UNREADABLE))
def test_what_a_runtime_cannot_read_is_said_with_what_works(architecture, engine):
    network = tiny(architecture)
    runner = backend(loaded(network), Runtime("cpu", engine=engine))
    with pytest.raises(MachineError, match=r"cannot run this network: .*; --backend eager does"):
        runner.run(0.1 * noise(network.spec.segment)[None])


@pytest.mark.parametrize("architecture", sorted(METHODS))
def test_methods_without_layers_run_in_pytorch_alone(architecture):
    network = tiny(architecture)
    with pytest.raises(UsageError, match=r"no layers that openvino could run.*--backend eager"):
        backend(loaded(network), Runtime("cpu", engine=Engine.OPENVINO))


def test_graphs_are_for_whole_segments_and_pytorch_for_what_is_shorter():
    network, maker = Halves(), FakeMaker()
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    assert torch.equal(graphs.run(torch.ones(1, 2, 60)), torch.full((1, 2, 2, 60), 0.5))
    assert torch.equal(graphs.run(torch.ones(1, 2, 100)), torch.full((1, 2, 2, 100), 0.5625))
    assert maker.made == ["1x2x100"]


class Looks(Halves):
    """Its layers look at ten samples at a time, whatever the length."""

    def around(self, inner, mixture):
        return torch.cat([inner(piece)[0] for piece in mixture.split(10, dim=-1)], -1)


def test_layers_that_look_at_pieces_of_one_size_run_as_a_graph_at_any_length():
    network, maker = Looks(), FakeMaker()
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    estimates = graphs.run(torch.ones(1, 2, 25))
    assert torch.equal(estimates[..., :20], torch.full((1, 2, 2, 20), 0.5625))
    assert torch.equal(estimates[..., 20:], torch.full((1, 2, 2, 5), 0.5))  # a shorter piece in PyTorch
    assert maker.made == ["1x2x10"]


def test_a_prepared_graph_is_made_before_the_first_segment_comes():
    network, maker = Halves(), FakeMaker()
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    for _ in range(2):
        graphs.prepare()
    graphs._prepared.result()  # which `run` waits for
    assert maker.made == ["1x2x100"]
    assert torch.equal(graphs.run(torch.ones(1, 2, 100)), torch.full((1, 2, 2, 100), 0.5625))
    graphs.close()
    graphs.prepare()
    assert maker.made == ["1x2x100", "closed"]


def test_why_a_graph_could_not_be_prepared_is_said_when_a_segment_comes():
    network, maker = Halves(), FakeMaker()
    maker.make = lambda *_: (_ for _ in ()).throw(MachineError("it cannot"))
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    graphs.prepare()
    with pytest.raises(MachineError, match="it cannot"):
        graphs.run(torch.ones(1, 2, 100))


@pytest.mark.parametrize(("seconds", "prepared"), [(0.0, 0), (0.099, 0), (0.1, 1), (3.0, 1)])
def test_a_chain_prepares_what_the_recordings_length_needs(seconds, prepared):
    class Counting(Gain):
        count = 0

        def prepare(self):
            self.count += 1

    backend = Counting(spec_of(100))
    Chain.alone(Ensemble.alone(backend, Plan.for_spec(backend.spec))).prepare(seconds)
    assert backend.count == prepared


@pytest.mark.parametrize(("threads", "graphs"), [(1, 1), (2, 3), (16, 3)])
def test_branches_in_openvino_run_at_the_same_time_as_far_as_there_are_threads(threads, graphs, tmp_path):
    network = tiny("open_unmix")
    maker = OpenVinoMaker(Precision.EXACT, threads, tmp_path)
    runner = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=network.spec.segment)
    for seed in (0, 1):
        mixture = 0.1 * noise(network.spec.segment, seed=seed)[None]
        assert snr_db(network(mixture), runner.run(mixture)) > EXACT_DB
    assert len(list(tmp_path.iterdir())) == graphs


def test_a_graph_is_made_once_and_takes_a_batch_row_by_row():
    network, maker = Halves(), FakeMaker()
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    batch = torch.arange(3.0)[:, None, None].expand(3, 2, 100)
    assert torch.equal(graphs.run(batch), torch.stack([0.5625 * batch] * 2, 1))
    assert maker.made == ["1x2x100"]


def test_a_closed_backend_of_graphs_says_so_and_closes_its_maker():
    network, maker = Halves(), FakeMaker()
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), maker, length=100)
    graphs.close()
    assert maker.made == ["closed"]
    with pytest.raises(UsageError, match="closed"):
        graphs.run(torch.ones(1, 2, 100))


def test_a_graph_that_gives_nan_is_refused():
    network = Halves(torch.nan)
    graphs = GraphBackend(network, network.spec, Runtime("cpu"), FakeMaker(), length=100)
    with pytest.raises(ModelError, match=r"NaN or infinity for finite audio on a fake.*--backend eager"):
        graphs.run(torch.ones(1, 2, 100))


@pytest.mark.parametrize(
    ("maker", "suffix"),
    [
        (lambda folder: OpenVinoMaker(Precision.EXACT, 1, folder), "openvino"),
        (lambda folder: OnnxMaker(Precision.EXACT, 1, folder, "cpu"), "onnx"),
    ],
)
def test_graphs_are_kept_for_the_next_time_and_made_anew_when_damaged(maker, suffix, tmp_path):
    network = tiny("wave_u_net")
    mixture = 0.1 * noise(network.spec.segment)[None]

    def answer():
        graphs = GraphBackend(
            network, network.spec, Runtime("cpu"), maker(tmp_path), length=network.spec.segment
        )
        return graphs.run(mixture)

    first = answer()
    (kept,) = tmp_path.iterdir()
    assert kept.suffix == f".{suffix}"
    assert torch.equal(answer(), first)
    if suffix == "openvino":
        kept.write_bytes(b"no graph")
        assert torch.equal(answer(), first)
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_int8_rounds_the_weights_of_linear_layers_and_stays_near():
    network = tiny("open_unmix")
    mixture = 0.1 * noise(network.spec.segment)[None]
    runner = backend(loaded(network), Runtime("cpu", engine=Engine.ONNX, precision=Precision.INT8))
    assert 15 < snr_db(network(mixture), runner.run(mixture)) < EXACT_DB


@pytest.mark.parametrize("precision", [Precision.BFLOAT16, Precision.FLOAT16])
@pytest.mark.parametrize("architecture", ["htdemucs", "hdemucs", "spleeter", "mdx_net", "hpss"])
def test_half_precision_is_for_the_layers_and_stays_near(architecture, precision):
    network = tiny(architecture)
    mixture = 0.1 * noise(network.spec.segment)[None]
    expected = EagerBackend(network, network.spec, Runtime("cpu")).run(mixture)
    estimates = EagerBackend(network, network.spec, Runtime("cpu", precision=precision)).run(mixture)
    assert estimates.dtype == torch.float32
    assert snr_db(expected, estimates) > 25


@pytest.mark.parametrize(
    ("engine", "precision", "said"),
    [
        (Engine.EAGER, Precision.INT8, "no network in int8 here; --backend onnx does"),
        (Engine.ONNX, Precision.FLOAT16, "runs in exact or int8 here, not in float16"),
        (Engine.COMPILED, Precision.INT8, "run in exact or bfloat16 here, not in int8"),
        (Engine.OPENVINO, Precision.INT8, "does not run in int8 on this processor; it does in exact"),
    ],
)
def test_a_precision_that_an_engine_lacks_is_said_with_what_it_has(engine, precision, said):
    network = Halves()
    with pytest.raises(UsageError, match=said):
        backend(loaded(network), Runtime("cpu", engine=engine, precision=precision))


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MachineError, match=r"pip install 'unbraid\[fast\]'"):
        backend(loaded(Halves()), Runtime("cpu", engine=Engine.OPENVINO))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MachineError, match=r"pip install 'unbraid\[onnx\]'"):
        backend(loaded(Halves()), Runtime("cpu", engine=Engine.ONNX))


def test_a_compiler_that_is_missing_is_said(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(MachineError, match=r"no C\+\+ compiler.*--backend eager"):
        backend(loaded(Halves()), Runtime("cpu", engine=Engine.COMPILED))


def test_providers_end_with_the_processor():
    assert providers("cuda")[-1] == "CPUExecutionProvider"
    assert providers("cpu")[-1] == "CPUExecutionProvider"


def test_half_precision_is_a_candidate_only_where_it_was_measured_to_be_harmless():
    def precisions(half):
        spec = ModelSpec(("a",), 1000, 2, segment=100, half=half)
        runtime = Runtime("cpu", engine=Engine.EAGER, precision=Precision.BFLOAT16)
        asked, _ = candidates(Loaded(Halves(), spec, 100), runtime)
        auto = Runtime("cpu", engine=Engine.AUTO, precision=Precision.AUTO)
        found, passed_over = candidates(Loaded(Halves(), spec, 100), auto)
        assert set(passed_over) >= {"compiled", "onnx"}
        return [r.precision for r in asked], {r.precision for r in found}

    assert precisions(half=False) == ([Precision.BFLOAT16], {Precision.EXACT})


@pytest.mark.parametrize("find", [engine_of, precision_of])
def test_a_name_that_means_nothing_is_answered_with_those_that_do(find):
    with pytest.raises(UsageError, match=r"'egaer'; there are auto, e"):
        find("egaer")
