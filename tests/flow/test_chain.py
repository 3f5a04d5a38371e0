"""Chains from name or file to stems, with networks that can be reckoned by hand, and with real ones."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

import unbraid
from signals import noise, tone
from unbraid.audio import Audio
from unbraid.cli.main import main
from unbraid.engine.plan import Window
from unbraid.errors import ConfigError, PlanError, UsageError
from unbraid.spec import ModelSpec
from unbraid.zoo.chains import list_presets, preset

RATE = 8000


class Shares(torch.nn.Module):
    """Each source is a fixed share of what it hears."""

    def __init__(self, shares, **facts):
        super().__init__()
        facts = {"sample_rate": RATE, "channels": 2, "segment": 4000, **facts}
        self.spec = ModelSpec(tuple(shares), **facts)
        self.shares = torch.tensor(list(shares.values()))[:, None, None]

    def forward(self, mixture):
        return mixture[:, None] * self.shares


MODELS = {
    "htdemucs": Shares({"drums": 0.1, "bass": 0.1, "other": 0.2, "vocals": 0.6}, levelled=True, fixed=True),
    "uvr_mdx.kara": Shares({"lead_vocals": 0.7, "accompaniment": 0.2}, segment=1000),
    "spleeter.2stems": Shares({"vocals": 0.4, "accompaniment": 0.6}, sample_rate=4000, segment=900),
    "own.th": Shares({"kick": 0.5, "snare": 0.5}),
}


@pytest.fixture
def loaded(monkeypatch):
    """The names of the models that were loaded, in order."""
    names = []

    def resolve(name, **_):
        names.append(name.rsplit("/", 1)[-1])
        return SimpleNamespace(
            name=names[-1], fingerprint=names[-1] * 3, overlap=0.25, window=Window.TRIANGLE
        )

    monkeypatch.setattr("unbraid.lineup.resolve", resolve)
    monkeypatch.setattr("unbraid.lineup.network", lambda found: MODELS[found.name])
    return names


BAND = """
[[steps]]
separate = "mixture"
model = "htdemucs"
into = ["vocals", "drums"]

[[steps]]
subtract = "vocals"
from = "mixture"
into = "band"

[[steps]]
separate = "vocals"
model = "uvr_mdx.kara"
into = { lead_vocals = "lead", accompaniment = "choir" }
"""
SHARES = {"vocals": 0.6, "drums": 0.1, "band": 0.4, "lead": 0.42, "choir": 0.12}


@pytest.fixture
def chain(tmp_path):
    """Writes a chain's file and gives its path."""

    def write(text=BAND, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def balanced(length, channels=2):
    """Noise without a mean: a levelled network gives the mixture's mean back to each source."""
    samples = noise(length, channels=channels)
    return Audio(samples - samples.mean() if length else samples, RATE)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("length", [0, 1, 999, 12345])
@pytest.mark.parametrize("level", ["mixture", "heard"])
def test_each_step_hears_what_it_was_told_to(chain, length, level):
    mixture = balanced(length)
    path = chain(f'stems = ["lead", "choir", "band", "vocals"]\nlevel = "{level}"\n{BAND}')
    estimates = unbraid.separate(mixture, path)
    assert estimates.sources == ("lead", "choir", "band", "vocals")
    for name, audio in estimates.items():
        torch.testing.assert_close(audio.samples, SHARES[name] * mixture.samples, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("stems", "names"),
    [
        (["drums"], ["htdemucs"]),
        (["band"], ["htdemucs"]),
        (["choir"], ["htdemucs", "uvr_mdx.kara"]),
        (["lead", "band"], ["htdemucs", "uvr_mdx.kara"]),
    ],
)
def test_only_the_networks_that_the_stems_need_are_loaded(chain, loaded, stems, names):
    mixture = balanced(5000)
    estimates = unbraid.separate(mixture, chain(), stems=stems)
    assert loaded == names
    assert list(estimates) == stems
    for name, audio in estimates.items():
        torch.testing.assert_close(audio.samples, SHARES[name] * mixture.samples, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("loaded")
def test_sums_of_stems_and_exact_sums_are_those_of_any_model(chain):
    mixture, path = balanced(5000), chain()
    rest = unbraid.separate(mixture, path, stems=["lead", "rest"])["rest"].samples
    torch.testing.assert_close(rest, (0.1 + 0.4 + 0.12) * mixture.samples, rtol=0, atol=1e-6)
    for stems in (["lead", "choir", "band"], ["vocals", "band"]):
        exact = unbraid.separate(mixture, path, stems=stems, sum="exact")
        assert exact.residual(mixture).samples.abs().max() <= 1e-7
    with pytest.raises(UsageError, match="lead, band of mine do not add up"):
        unbraid.separate(mixture, path, stems=["lead", "band"], sum="exact")
    with pytest.raises(UsageError, match="'rest' would hold vocals again"):
        unbraid.separate(mixture, path, stems=["vocals", "rest"])


@pytest.mark.usefixtures("loaded")
def test_the_sidecar_says_what_ran(chain, tmp_path):
    song = unbraid.write(balanced(5000), tmp_path / "song.wav", bits="32f")
    with unbraid.Separator(chain(), stems=["vocals", "band"]) as separator:
        made = separator.to_files(song, out=tmp_path / "out")
    record = json.loads(made.sidecar.read_text())
    assert record["model"] == "mine"
    assert [network["model"] for network in record["networks"]] == ["htdemucs"]
    assert record["steps"] == [
        {"separate": "mixture", "model": "htdemucs", "into": {"vocals": "vocals", "drums": "drums"}},
        {"subtract": ["vocals"], "from": "mixture", "into": "band"},
    ]
    assert (record["level"], record["rule"], record["domain"]) == ("mixture", None, None)
    assert made.residual_db is None  # nothing is left, and that is known
    with unbraid.Separator(chain(), stems=["lead", "choir", "band"]) as separator:
        assert separator.to_files(song, out=tmp_path / "all").residual_db == pytest.approx(-24.4, abs=0.1)


@pytest.mark.usefixtures("loaded")
def test_pieces_of_a_stream_put_together_are_the_whole(chain):
    mixture = balanced(60_000)
    with unbraid.Separator(chain()) as separator:
        pieces = [piece.samples for piece in separator.stream(mixture)]
        whole = separator.separate(mixture).samples
    assert len(pieces) > 1
    assert torch.cat(pieces, -1).equal(whole)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_each_network_is_given_its_own_rate(chain, channels):
    path = chain(
        BAND + '[[steps]]\nseparate = "band"\nmodel = "spleeter.2stems"\ninto = { vocals = "spill" }\n'
    )
    rate = 11025
    mixture = Audio(tone(2 * rate, rate=rate, hz=300, channels=channels), rate)
    spill = unbraid.separate(mixture, path, stems=["spill"])["spill"].samples
    assert spill.shape == mixture.samples.shape
    inner = slice(rate // 4, -rate // 4)
    torch.testing.assert_close(spill[:, inner], 0.4 * 0.4 * mixture.samples[:, inner], rtol=0, atol=1e-3)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(("rule", "vocals"), [("mean", 0.5), ("min", 0.4), ("max", 0.6)])
@pytest.mark.parametrize("domain", ["waveform", "spectrum"])
def test_an_ensemble_in_a_step_is_a_blend_of_two_steps(chain, rule, vocals, domain):
    how = f'rule = "{rule}"\ndomain = "{domain}"\n'
    one = '[[steps]]\nseparate = "mixture"\nmodel = "{}"\ninto = {{ vocals = "{}" }}\n'
    apart = one.format("htdemucs", "a") + one.format("uvr_mdx.kara", "b").replace("{ vocals", "{ lead_vocals")
    apart = apart.replace("uvr_mdx.kara", "spleeter.2stems").replace("lead_vocals", "vocals")
    blended = chain(f'{apart}[[steps]]\nblend = ["a", "b"]\ninto = "vocals"\n{how}', "blended.toml")
    members = 'members = [{ model = "htdemucs" }, { model = "spleeter.2stems" }]'
    together = chain(f'[[steps]]\nseparate = "mixture"\n{members}\ninto = ["vocals"]\n{how}')
    mixture = Audio(tone(20_000, rate=RATE, hz=300), RATE)
    estimates = [unbraid.separate(mixture, path)["vocals"].samples for path in (blended, together)]
    assert estimates[0].equal(estimates[1])
    inner = slice(3000, -3000)
    torch.testing.assert_close(estimates[0][:, inner], vocals * mixture.samples[:, inner], rtol=0, atol=2e-3)


@pytest.mark.usefixtures("loaded")
def test_a_file_of_ones_own_takes_part(chain, tmp_path):
    (tmp_path / "own.th").write_bytes(b"weights")
    step = '[[steps]]\nseparate = "drums"\nmodel = "own.th"\ninto = ["{}"]\n'
    mixture = balanced(3000)
    kick = unbraid.separate(mixture, chain(BAND + step.format("kick")), stems=["kick"])["kick"].samples
    torch.testing.assert_close(kick, 0.05 * mixture.samples, rtol=0, atol=1e-6)
    with pytest.raises(PlanError, match="wants 'kik' of what makes kick, snare; did you mean kick"):
        unbraid.Separator(chain(BAND + step.format("kik")), stems=["kik"])


def test_a_faulty_chain_is_refused_before_anything_is_loaded(chain, loaded):
    with pytest.raises(ConfigError, match="step 1: unknown key 'modell'"):
        unbraid.Separator(chain(BAND.replace("model =", "modell =")))
    with pytest.raises(UsageError, match=r"no stem is called 'leed'.*did you mean lead"):
        unbraid.Separator(chain(), stems=["leed"])
    assert not loaded


QUICK = """
stems = ["hits", "tones_middle", "tones_sides"]

[[steps]]
separate = "mixture"
model = "hpss"
into = { percussive = "hits", harmonic = "tones" }

[[steps]]
separate = "tones"
model = "centre"
into = { centre = "tones_middle", sides = "tones_sides" }
"""


def test_the_command_line_separates_by_a_file_and_the_stems_add_up(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mixture = Audio(0.5 * tone(44100) + noise(44100), 44100)
    unbraid.write(mixture, "song.wav", bits="24")
    chain(QUICK)
    assert main(["-n", "mine.toml", "--sum", "exact", "--bits", "24", "song.wav"]) == 0
    folder = tmp_path / "separated/mine/song"
    written = {path.stem: unbraid.read(path) for path in folder.glob("*.wav")}
    assert set(written) == {"hits", "tones_middle", "tones_sides"}
    total = sum(audio.samples.double() for audio in written.values())
    assert (total - unbraid.read("song.wav").samples.double()).abs().max() <= 2.0**-23
    record = json.loads((folder / "unbraid.json").read_text())
    assert [network["model"] for network in record["networks"]] == ["hpss", "centre"]


def test_two_networks_without_training_in_a_row_are_one_after_the_other(chain):
    mixture = Audio(0.5 * tone(60_000) + noise(60_000), 44100)
    in_one = unbraid.separate(mixture, chain(QUICK))
    apart = unbraid.separate(mixture, "hpss")
    middle = unbraid.separate(apart["harmonic"], "centre")["centre"].samples
    assert in_one["hits"].samples.equal(apart["percussive"].samples)
    assert in_one["tones_middle"].samples.equal(middle)


class OfCard(Shares):
    """In a published network's place: its sources, and equal shares."""

    def __init__(self, sources):
        super().__init__(dict.fromkeys(sources, 1 / len(sources)), levelled=True)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_runs_and_gives_its_stems(name, monkeypatch, tmp_path):
    from unbraid.zoo import catalog

    def resolve(model, **_):
        return SimpleNamespace(name=model, fingerprint="", overlap=0.25, window=Window.TRIANGLE)

    monkeypatch.setattr("unbraid.lineup.resolve", resolve)
    monkeypatch.setattr("unbraid.lineup.network", lambda found: OfCard(catalog.card(found.name).sources))
    monkeypatch.chdir(tmp_path)
    song = unbraid.write(balanced(9000), "song.wav", bits="32f")
    assert main(["--preset", name, "--sum", "exact", "--bits", "32f", str(song)]) == 0
    written = {path.stem: unbraid.read(path) for path in tmp_path.glob(f"separated/{name}/song/*.wav")}
    assert set(written) == set(preset(name).sources)
    total = sum(audio.samples.double() for audio in written.values())
    assert (total - unbraid.read(song).samples.double()).abs().max() <= 1e-7
