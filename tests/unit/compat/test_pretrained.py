"""Models by name, by signature, and from a folder as demucs keeps it."""

from __future__ import annotations

import pytest
import torch
from demucs import pretrained as published
from demucs.apply import BagOfModels as PublishedBag
from demucs.apply import apply_model as published_apply_model

from signals import noise
from unbraid.compat.demucs import pretrained
from unbraid.compat.demucs.apply import BagOfModels, apply_model
from unbraid.compat.demucs.pretrained import ModelLoadingError, get_model, list_models
from unbraid.errors import ConfigError, UnknownModelError, UsageError, WeightsError
from unbraid.spec import ModelSpec
from unbraid.zoo import catalog

SOURCES = ("drums", "bass", "other", "vocals")


class Fake(torch.nn.Module):
    """In a published network's place; knows what it was asked for as."""

    def __init__(self, name):
        super().__init__()
        self.name = str(name)
        self.spec = ModelSpec(catalog.card(self.name).sources, 44100, 2, segment=44100)


@pytest.fixture
def asked(monkeypatch):
    """What the zoo is asked for, as name and folder; it gives fakes."""
    asked = []

    def load(name, *, folder=None):
        asked.append((name, folder))
        return Fake(name)

    monkeypatch.setattr(pretrained, "load", load)
    return asked


@pytest.mark.usefixtures("asked")
def test_a_name_gives_a_bag_of_one():
    bag = get_model("htdemucs")
    assert isinstance(bag, BagOfModels)
    assert bag.weights == [[1.0] * 4]
    assert bag.models[0].name == "htdemucs"
    assert (bag.sources, bag.samplerate, bag.audio_channels, bag.segment) == (list(SOURCES), 44100, 2, 1)
    assert not bag.training


@pytest.mark.usefixtures("asked")
def test_an_ensemble_gives_a_bag_with_its_weights():
    bag = get_model("htdemucs_ft")
    assert [model.name for model in bag.models] == [f"htdemucs_ft.{source}" for source in SOURCES]
    assert bag.weights == torch.eye(4).tolist()
    assert bag.models[3].samplerate == 44100


@pytest.mark.usefixtures("asked")
def test_a_signature_gives_the_network_itself():
    network = get_model("955717e8")
    assert isinstance(network, Fake)
    assert network.sources == list(SOURCES)


def test_a_folder_is_looked_into_for_published_weights_too(asked, tmp_path):
    get_model("htdemucs_ft", tmp_path)
    get_model("htdemucs", tmp_path)
    assert [folder for _, folder in asked] == [tmp_path] * 5


@pytest.mark.usefixtures("asked")
def test_an_ensemble_that_is_no_mean_is_no_bag(tmp_path):
    file = tmp_path / "least.toml"
    file.write_text('rule = "min"\nmembers = [{ model = "htdemucs" }, { model = "htdemucs" }]\n')
    with pytest.raises(UsageError, match=r"least takes the min.*unbraid\.Separator"):
        get_model(file)


def test_an_unknown_name_is_an_error_that_scripts_catch():
    with pytest.raises(ModelLoadingError, match="did you mean htdemucs"):
        get_model("htdemucz")


def test_every_model_that_is_listed_is_known():
    listed = list_models()
    assert listed["bag"].keys() >= {"htdemucs", "htdemucs_ft", "mdx_extra"}
    assert {"955717e8", "f7e0c4bc"} <= listed["single"].keys()
    assert "htdemucs_ft.drums" not in listed["bag"]
    assert all(isinstance(place, str) and place for group in listed.values() for place in group.values())


@pytest.mark.usefixtures("asked")
def test_each_listed_model_is_given_as_what_it_is_listed():
    listed = list_models()
    assert all(isinstance(get_model(name), BagOfModels) for name in listed["bag"])
    assert all(isinstance(get_model(name), Fake) for name in listed["single"])


@pytest.mark.reference
@pytest.mark.parametrize("name", ["1a2b3c4d", "plain", "hybrid", "wave", "alike", "each"])
@pytest.mark.parametrize("options", [{}, {"overlap": 0.1, "segment": 0.2}, {"split": False}], ids=str)
def test_a_folder_gives_what_it_gives_demucs(repo, snr, name, options):
    theirs, ours = published.get_model(name, repo), get_model(name, repo)
    # As long as the shortest network takes without split.
    mixture = noise(2000 if options == {"split": False} else 4700)[None]
    wanted = published_apply_model(theirs, mixture, shifts=0, **options)
    assert snr(wanted, apply_model(ours, mixture, shifts=0, **options)) > 90


@pytest.mark.reference
@pytest.mark.parametrize("name", ["1a2b3c4d", "hybrid", "wave", "alike", "each"])
def test_a_folders_model_says_what_it_says_to_users_of_demucs(repo, name):
    theirs, ours = published.get_model(name, repo), get_model(name, repo)
    assert isinstance(ours, BagOfModels) == isinstance(theirs, PublishedBag)
    for fact in ("sources", "samplerate", "audio_channels"):
        assert getattr(ours, fact) == getattr(theirs, fact)
    if isinstance(ours, BagOfModels):
        assert ours.weights == theirs.weights
        assert [model.segment for model in ours.models] == [model.segment for model in theirs.models]
        assert ours.max_allowed_segment == theirs.max_allowed_segment
    else:
        assert ours.segment == theirs.segment
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.reference
def test_a_folder_lists_what_it_lists_for_demucs(repo):
    from demucs.repo import BagOnlyRepo, LocalRepo

    theirs = {"single": LocalRepo(repo).list_model(), "bag": BagOnlyRepo(repo, None).list_model()}
    assert list_models(repo) == theirs


def test_a_checkpoint_is_found_by_its_path(repo):
    assert get_model(repo / "plain.th").sources == ["drums", "vocals"]
    assert get_model(str(repo / "plain.th")).samplerate == 8000


def test_a_checkpoint_that_is_not_what_its_name_says_is_refused(repo, tmp_path):
    (tmp_path / "mine-00000000.th").write_bytes((repo / "plain.th").read_bytes())
    with pytest.raises(WeightsError, match=r"mine-00000000\.th begins with"):
        get_model("mine", tmp_path)


def test_two_files_of_one_signature_are_refused(tmp_path):
    for name in ("mine.th", "mine-00000000.th"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="keep one"):
        list_models(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="folder of models"):
        list_models(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("models: ['other']", UnknownModelError, "asks for other; beside it there are mine"),
        ("models:\n  - mine\n", ConfigError, "names stand in quotes, lists in brackets"),
        ("models: [mine]", ConfigError, "names stand in quotes, lists in brackets"),
        ("models: [__import__('os').getcwd()]", ConfigError, "names stand in quotes, lists in brackets"),
        ("models: " + "[" * 5000, ConfigError, "names stand in quotes, lists in brackets"),
        ("models: ['mine']\nwieghts: [[1]]", ConfigError, "did you mean weights"),
        ("models: ['mine']\nweights: [['a']]", ConfigError, "'a'"),
        ("weights: [[1]]", ConfigError, "missing key 'models'"),
        ("models: 'mine'", ConfigError, "no list"),
        ("models: []", UsageError, "at least one"),
    ],
)
def test_a_bag_that_cannot_be_is_refused(tmp_path, text, error, words):
    (tmp_path / "mine.th").touch()
    (tmp_path / "bag.yaml").write_text(text)
    with pytest.raises(error, match=words):
        get_model("bag", tmp_path)
