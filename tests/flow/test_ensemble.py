"""Ensembles from name or file to stems, with networks that can be reckoned by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

import unbraid
from signals import noise
from unbraid.audio import Audio
from unbraid.engine.plan import Window
from unbraid.errors import ConfigError, PlanError, UnknownModelError, UsageError
from unbraid.spec import ModelSpec
from unbraid.zoo.ensembles import ensemble_for, list_ensembles

SOURCES = ("drums", "bass", "other", "vocals")


class Shares(torch.nn.Module):
    """Each source is a fixed share of the mixture."""

    def __init__(self, shares, **facts):
        super().__init__()
        facts = {"sample_rate": 8000, "channels": 2, "segment": 4000, **facts}
        self.spec = ModelSpec(tuple(shares), **facts)
        self.shares = torch.tensor(list(shares.values()))[:, None, None]

    def forward(self, mixture):
        return mixture[:, None] * self.shares


def balanced(length):
    """Noise without a mean: a levelled network gives the mixture's mean back to each source."""
    samples = noise(length)
    return Audio(samples - samples.mean() if length else samples, 8000)


MODELS = {
    "a": Shares({"drums": 0.1, "vocals": 0.2}),
    "b": Shares({"vocals": 0.4, "drums": 0.3}, levelled=True, fixed=True),
    "c": Shares({"vocals": 0.9, "piano": 0.5}, sample_rate=4000, channels=1, segment=900),
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


@pytest.fixture
def ensemble(tmp_path):
    """Writes an ensemble's file and gives its path."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


BOTH = """
rule = "{rule}"
domain = "{domain}"

[[members]]
model = "a"
weights = {{ vocals = 1, drums = 1 }}

[[members]]
model = "b"
weights = {{ vocals = 3, drums = 0 }}
"""


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(("rule", "vocals"), [("mean", 0.35), ("median", 0.3), ("min", 0.2), ("max", 0.4)])
@pytest.mark.parametrize("domain", ["waveform", "spectrum"])
@pytest.mark.parametrize("length", [0, 1, 999, 12345])
def test_each_source_is_made_by_the_rule(ensemble, rule, vocals, domain, length):
    mixture = balanced(length)
    estimates = unbraid.separate(mixture, ensemble(BOTH.format(rule=rule, domain=domain)))
    assert estimates.sources == ("vocals", "drums")
    assert estimates.samples.shape == (2, 2, length)
    torch.testing.assert_close(estimates["drums"].samples, 0.1 * mixture.samples, rtol=0, atol=1e-6)
    torch.testing.assert_close(estimates["vocals"].samples, vocals * mixture.samples, rtol=0, atol=1e-6)


SPECIALISTS = """
[[members]]
model = "a"
weights = { drums = 1 }

[[members]]
model = "b"
weights = { vocals = 1 }
"""


@pytest.mark.parametrize(
    ("stems", "names"),
    [(["drums"], ["a"]), (["vocals"], ["b"]), (["vocals", "rest"], ["a", "b"]), (None, ["a", "b"])],
)
def test_only_the_networks_that_the_stems_need_are_loaded(ensemble, loaded, stems, names):
    mixture = balanced(5000)
    estimates = unbraid.separate(mixture, ensemble(SPECIALISTS), stems=stems)
    assert loaded == names
    shares = {"drums": 0.1, "vocals": 0.4, "rest": 0.1}
    for stem, audio in estimates.items():
        torch.testing.assert_close(audio.samples, shares[stem] * mixture.samples, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("loaded")
def test_a_residual_is_known_where_all_sources_are_made_and_only_there(ensemble, tmp_path):
    song = unbraid.write(balanced(5000), tmp_path / "song.wav", bits="32f")
    path = ensemble(SPECIALISTS)
    with unbraid.Separator(path) as separator:
        whole = separator.to_files(song, out=tmp_path / "whole")
    with unbraid.Separator(path, stems=["vocals"]) as separator:
        part = separator.to_files(song, out=tmp_path / "part", format="flac")
    assert whole.residual_db == pytest.approx(-6.02, abs=0.01)  # half of the mixture is left
    assert part.residual_db is None
    record = json.loads(whole.sidecar.read_text())
    assert [network["counts"] for network in record["networks"]] == [{"drums": 1.0}, {"vocals": 1.0}]
    assert (record["model"], record["rule"], record["domain"]) == ("mine", "mean", "waveform")


@pytest.mark.usefixtures("loaded")
def test_the_stems_of_an_ensemble_can_add_up_exactly(ensemble):
    mixture = balanced(5000)
    estimates = unbraid.separate(mixture, ensemble(SPECIALISTS), sum="exact")
    torch.testing.assert_close(estimates.samples.double().sum(0).float(), mixture.samples, rtol=0, atol=1e-7)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("rate", [8000, 11025])
def test_networks_of_other_rates_channels_and_sources_play_together(ensemble, rate):
    time = torch.arange(2 * rate) / rate
    tone = 0.2 * torch.sin(2 * torch.pi * 440 * time)
    mixture = Audio(torch.stack([tone, tone]), rate)
    path = ensemble(
        BOTH.format(rule="mean", domain="waveform")
        + '[[members]]\nmodel = "c"\nweights = { vocals = 4, piano = 1 }\n'
    )
    estimates = unbraid.separate(mixture, path)
    assert estimates.sources == ("vocals", "drums", "piano")
    middle = slice(rate // 4, -rate // 4)
    for source, share in (("vocals", (0.2 + 3 * 0.4 + 4 * 0.9) / 8), ("drums", 0.1), ("piano", 0.5)):
        torch.testing.assert_close(
            estimates[source].samples[:, middle], share * mixture.samples[:, middle], rtol=0, atol=1e-3
        )


@pytest.mark.usefixtures("loaded")
def test_a_segment_is_asked_of_those_that_can(ensemble):
    path = ensemble(
        BOTH.format(rule="mean", domain="waveform") + '[[members]]\nmodel = "c"\nweights = { piano = 1 }\n'
    )
    with unbraid.Separator(path, segment_seconds=0.4) as separator:
        plans = [player.part.plan.segment for player in separator._lineup.players]
    assert plans == [3200, 3200, 900]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("members = [", ConfigError, "no TOML file"),
        ("members = []", ConfigError, "one member or more"),
        ("[[members]]\nmodle = 'a'", ConfigError, "modle"),
        ("[[members]]\nmodel = 'a'\nweights = { vocals = -1 }", ConfigError, "0 or more"),
        ("[[members]]\nmodel = 'a'\nweights = { vocals = nan }", ConfigError, "0 or more"),
        ("[[members]]\nmodel = 'a'\nweights = { vocals = 0 }", ConfigError, "every weight is 0"),
        ("rule = 'loudest'\n[[members]]\nmodel = 'a'", ConfigError, "rule"),
        ("[[members]]\nmodel = 'a'\nweights = { kazoo = 1 }", PlanError, "wants kazoo of a network"),
        ("[[members]]\nmodel = 'zzz'", UnknownModelError, "no model is called 'zzz'"),
        ("[[members]]\nmodel = 'mine.toml'", ConfigError, "which of its sources"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused_with_its_fault(ensemble, text, error, words):
    with pytest.raises(error, match=words):
        unbraid.Separator(ensemble(text))


def test_a_file_that_is_not_there_or_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UnknownModelError, match="no ensemble is at"):
        ensemble_for(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        ensemble_for(tmp_path / "folder.toml")


@pytest.mark.parametrize("name", list_ensembles())
def test_every_published_ensemble_is_made_of_models_that_there_are(name):
    card = ensemble_for(name)
    assert set(card.sources) == set(SOURCES) or name == "cdx23"
    assert len(card.members) >= 2


def test_the_published_weights_are_those_of_the_demucs_package():
    import importlib.resources

    import yaml

    def table(name):
        text = (importlib.resources.files("demucs") / "remote" / f"{name}.yaml").read_text()
        return yaml.safe_load(text)

    of_demucs = [name for name in list_ensembles() if name != "cdx23" and "kuielab" not in name]
    assert len(of_demucs) == 8
    for name in of_demucs:
        published, card = table(name), ensemble_for(name)
        rows = published.get("weights", [[1.0] * 4] * len(published["models"]))
        wanted = {}
        for signature, row in zip(published["models"], rows, strict=True):
            wanted[signature] = dict(zip(SOURCES, row, strict=True))
        from unbraid.zoo import catalog

        for member in card.members:
            known = catalog.card(member.model)
            (signature,) = {*known.aliases, known.name.rsplit(".", 1)[-1]} & wanted.keys()
            counts = {source: weight for source, weight in wanted.pop(signature).items() if weight}
            assert member.counts == counts
        assert not wanted
