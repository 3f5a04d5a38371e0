"""What DiffQ packed: golden files of its own, a slow twin of its packing, and files that lie."""

from __future__ import annotations

import io
import json
import math
import re
import tracemalloc
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from networks.tiny import DEMUCS_V3, TINY, lively
from reference.slow_diffq import packed, planes_of_16, planes_of_64, quantized, unpacked
from unbraid.errors import WeightsError
from unbraid.zoo.convert import read
from unbraid.zoo.diffq import _integers, unpack
from unbraid.zoo.keymaps.diffq_order import published_order
from unbraid.zoo.package import fingerprint, require_fit, skeleton
from unbraid.zoo.unpickle import ClassName

GOLDEN = Path(__file__).parents[2] / "golden/diffq"
RESTORED = json.loads((GOLDEN / "restored.json").read_text(encoding="utf-8"))
PLANES = {"int64": planes_of_64, "int16": planes_of_16}
KLASS = ClassName("diffq.diffq.DiffQuantizer")


def meta(*, packed=True, klass=KLASS, **arguments):
    return {"klass": klass, "packed": packed, "torch_pack": False, "init_kwargs": arguments}


@pytest.mark.parametrize("name", RESTORED)
def test_what_diffq_packed_is_restored_to_the_last_bit(name):
    package = read(GOLDEN / f"{name}.th.gz")
    assert package.name == name
    require_fit(package.tensors, skeleton(package.architecture, package.config), name)
    assert fingerprint({key: value.float() for key, value in package.tensors.items()}) == RESTORED[name]


S = ["vocals", "rest"]
HT = {"channels": 8, "depth": 2, "nfft": 256, "bottom_channels": 24, "t_layers": 3, "t_heads": 2}
HYBRID = {"channels": 8, "depth": 4, "nfft": 256, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 2}
CLASSES = {
    "wave": ("demucs.demucs", "Demucs", {"channels": 8}, {"channels": 8, **DEMUCS_V3}),
    "hybrid": ("demucs.hdemucs", "HDemucs", HYBRID, TINY["hdemucs"]),
    "bands": (
        *("demucs.hdemucs", "HDemucs"),
        {**HYBRID, "multi_freqs": [0.5], "multi_freqs_depth": 1},
        {**TINY["hdemucs"], "multi_freqs": [0.5], "multi_freqs_depth": 1},
    ),
    "transformer": (
        "demucs.htdemucs",
        "HTDemucs",
        {**HT, "dconv_mode": 3},
        {**TINY["htdemucs"], "dconv_comp": 8},
    ),
    "old": (
        "pymss_core.modules.legacy_demucs",
        "LegacyDemucs",
        {"channels": 8, "depth": 3},
        {"channels": 8, "depth": 3},
    ),
}


@pytest.mark.reference
@pytest.mark.parametrize("name", CLASSES)
def test_weights_stand_in_the_order_of_the_published_class(name):
    module, klass, kwargs, config = CLASSES[name]
    theirs = getattr(pytest.importorskip(module), klass)(S, **kwargs)
    architecture = {"Demucs": "demucs", "LegacyDemucs": "demucs"}.get(klass, klass.lower())
    network = skeleton(architecture, {**config, "sources": S})
    ours = {key: value.shape for key, value in network.named_parameters()}
    order = published_order(architecture, ours)
    names = [key for key, _ in theirs.named_parameters()]
    if name == "old":  # where there are no norms, what stands behind one has a lower number
        names = [re.sub(r"^((?:en|de)coder\.\d)\.2", r"\1.3", key) for key in names]
    assert order == names
    assert [ours[key] for key in order] == [value.shape for value in theirs.parameters()]


@pytest.mark.parametrize("planes", PLANES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_integers_come_back_from_their_planes(planes, data):
    width = data.draw(st.integers(0, 14))
    integers = data.draw(st.lists(st.integers(0, 2**width - 1), min_size=1, max_size=200))
    integers *= data.draw(st.sampled_from([1, 1, 13, 33]))  # more than one line of 2048
    words = PLANES[planes](integers, width)
    assert _integers(words, len(integers)).tolist() == integers


@pytest.mark.parametrize("form", [*PLANES, "unpacked"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_packed_state_means_its_weights(form, data):
    size = data.draw(st.sampled_from([1, 2, 8]))
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 6), st.just(8)), min_size=1, max_size=6))
    least, limit = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 40))
    float16 = data.draw(st.booleans())
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    entries, others, expected = [], [], {}
    for index, shape in enumerate(shapes):
        weight = torch.randn(shape, generator=generator)
        if weight.numel() <= limit:
            others.append(weight.half() if float16 else weight)
            expected[str(index)] = others[-1].double()
            continue
        bits = torch.randint(least, 15, (weight.numel() // size,), generator=generator).tolist()
        levels, scale, expected[str(index)] = quantized(weight, size, bits)
        pack = PLANES.get(form)
        entries.append(packed(levels, scale, bits, pack, least) if pack else unpacked(levels, scale, bits))
    arguments = {"min_size": limit * 4 / 2**20, "group_size": size, "min_bits": least, "float16": float16}
    state = {
        "quantized": entries,
        "float16": others if float16 else [],
        "others": [] if float16 else others,
        "meta": meta(packed=form != "unpacked", max_bits=15, **arguments),
    }
    found = unpack(state, {str(index): shape for index, shape in enumerate(shapes)})
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value, rtol=1e-6, atol=1e-6)


def v2_state():
    """A state of Demucs v2 with one weight of more than 1 MB, and what it means; as DiffQ 0.1 wrote it."""
    network = skeleton("demucs", {"channels": 264, "depth": 1, "lstm_layers": 1, "sources": S})
    shapes = {name: value.shape for name, value in network.named_parameters()}
    weights = lively({name: torch.empty(shapes[name]) for name in published_order("demucs", shapes)})
    state, expected = {"quantized": [], "float16": [], "others": []}, {}
    for name in published_order("demucs", shapes):
        weight = expected[name] = weights[name]
        if weight.numel() > 2**18:
            bits = [2 + n % 9 for n in range(weight.numel() // 8)]
            levels, scale, expected[name] = quantized(weight, 8, bits)
            state["quantized"].append(unpacked(levels, scale, bits))
        else:
            state["others"].append(weight)
    assert state["quantized"]
    return state, expected


@pytest.mark.parametrize("described", [True, False])
def test_demucs_v2_comes_packed_in_zlib_and_without_saying_how(described, tmp_path, demucs_v2_class):
    state, expected = v2_state()
    inner = io.BytesIO()
    torch.save(state, inner)
    content = {"compressed": zlib.compress(inner.getvalue())}
    options = {"channels": 264, "depth": 1, "lstm_layers": 1, "sources": S}
    if described:
        content = {"klass": demucs_v2_class, "args": (), "kwargs": options, "state": content}
    torch.save(content, tmp_path / "v2.th")
    package = read(tmp_path / "v2.th", architecture="demucs", config=options)
    assert package.tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(package.tensors[name].double(), value.double(), rtol=0, atol=1e-6)


SHAPES = {"small": (3,), "large": (4, 8)}
ARGUMENTS = {"min_size": 16 / 2**20, "group_size": 8}


def state(**changes):
    """A packed state of one small and one large weight."""
    bits = [2, 3, 3, 14]
    levels, scale, _ = quantized(torch.arange(32.0), 8, bits)
    return {
        "quantized": [packed(levels, scale, bits, planes_of_64)],
        "float16": [],
        "others": [torch.zeros(3)],
        "meta": meta(**ARGUMENTS),
        **changes,
    }


def entry(packs=None, scale=(0.0, 1.0), bits=None):
    """The large weight with other levels, range or bits."""
    whole = state()["quantized"][0]
    return [(whole[0] if packs is None else packs, scale, whole[2] if bits is None else bits)]


def test_the_state_of_these_tests_is_sound():
    assert unpack(state(), SHAPES)["large"].flatten().tolist()[::31] == [0, 31]


REFUSED = {
    "another quantiser": (
        state(meta=meta(klass=ClassName("diffq.uniform.UniformQuantizer"))),
        "known is diffq",
    ),
    "a quantiser that is no class": (state(meta=meta(klass="diffq.diffq.DiffQuantizer")), "does not say how"),
    "no word on packing": (state(meta={"klass": KLASS, "init_kwargs": {}}), "does not say how"),
    "a text for a number": (state(meta=meta(min_size="small")), "'small' is no float"),
    "names left out": (state(meta=meta(exclude=["*.bias"])), "no published one is"),
    "a size that is no number": (state(meta=meta(min_size=math.nan)), "no published one is"),
    "groups of less than nothing": (state(meta=meta(**{**ARGUMENTS, "group_size": -8})), "no published one"),
    "too few weights": (state(quantized=[]), "0 quantised weights and 1 others; the network has 1 and 1"),
    "too many others": (state(others=[torch.zeros(3)] * 2), "1 quantised weights and 2 others"),
    "another shape": (state(others=[torch.zeros(4)]), "small: the packed state holds another weight than"),
    "no weight": (state(others=[3]), "small: the packed state holds another weight"),
    "no entry": (state(quantized=[7]), "large: the packed state has no levels with their range"),
    "a text for a range": (state(quantized=entry(scale=("a", 1.0))), "no levels with their range"),
    "groups that do not fill it": (state(meta=meta(**{**ARGUMENTS, "group_size": 5})), "groups of 5"),
    "no levels at all": (state(quantized=entry(packs=[None] * 14)), "room for 0 levels instead of 32"),
    "too many packs": (state(quantized=entry(packs=[None] * 15)), "no list of levels"),
    "levels of the wrong kind": (
        state(quantized=entry(packs=[torch.zeros(9, 9)] * 14)),
        "not planes of bits",
    ),
    "planes of the wrong shape": (
        state(quantized=entry(packs=[torch.zeros(9, 1, 32, dtype=torch.int64)] * 14)),
        "planes of shape (9, 1, 32), which are not those of 0 integers",
    ),
    "planes of other bits": (
        state(quantized=entry(packs=[None, planes_of_64([0] * 32, 3)], bits=planes_of_64([0] * 4, 1))),
        "3 planes of bits instead of 2",
    ),
    "levels that are missing": (
        state(
            quantized=entry(packs=[None, planes_of_64([0] * 24, 2), None], bits=planes_of_64([0, 0, 0, 1], 1))
        ),
        "of which no levels are stored",
    ),
    "fifteen bits, which DiffQ loses": (
        state(
            quantized=entry(
                packs=[*[None] * 13, planes_of_64([0] * 24, 14)], bits=planes_of_64([12, 12, 12, 13], 4)
            )
        ),
        "groups of 15 bits, of which no levels are stored",
    ),
    "unpacked levels that are too few": (
        state(meta=meta(packed=False, **ARGUMENTS), quantized=[(torch.zeros(31), (0.0, 1.0), torch.ones(4))]),
        "other than 32 levels in groups of 8",
    ),
    "unpacked bits that are none": (
        state(
            meta=meta(packed=False, **ARGUMENTS),
            quantized=[(torch.zeros(32), (0.0, 1.0), torch.zeros(4, dtype=torch.uint8))],
        ),
        "not from 1 to 15",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_state_that_diffq_would_not_write_is_refused(name):
    found, words = REFUSED[name]
    with pytest.raises(WeightsError, match=re.escape(words)):
        unpack(found, SHAPES)


@pytest.mark.parametrize("lines", [2**30, 2**18])
def test_planes_without_bits_take_no_memory_by_claim(lines):
    empty = torch.zeros(lines, 0, 32, dtype=torch.int64)  # as many integers as one likes, in no bytes
    shapes = {"large": (2**30, 2**8)}
    hostile = state(others=[], quantized=entry(packs=[None, planes_of_64([0] * 32, 2)], bits=empty))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="room for 2048 levels"):
            unpack(hostile, shapes)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_packed_file_is_an_error_of_ours_or_still_weights(data, tmp_path):
    whole = (GOLDEN / "wave.th.gz").read_bytes()
    content = bytearray(zlib.decompress(whole, 31))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.th").write_bytes(content)
    try:
        package = read(tmp_path / "damaged.th")
    except WeightsError:
        return
    assert all(isinstance(value, torch.Tensor) for value in package.tensors.values())


def test_weights_of_a_network_that_was_never_packed_are_refused():
    with pytest.raises(WeightsError, match="known for demucs, hdemucs, htdemucs and not wave_u_net"):
        published_order("wave_u_net", ["a"])
