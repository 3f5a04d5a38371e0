"""Separator: files and tensors in, stems by name out."""

from __future__ import annotations

import pytest
import torch

import unbraid
from signals import antiphase, noise, tone
from unbraid.audio import Audio
from unbraid.compat.demucs import LoadAudioError, LoadModelError, Separator, api, separate
from unbraid.compat.demucs.apply import BagOfModels, apply_model
from unbraid.compat.demucs.models import named
from unbraid.errors import NonFiniteAudioError, ShapeError
from unbraid.spec import ModelSpec

RATE = 8000


@pytest.fixture
def separator(repo):
    """Over a small network at 8 kHz."""
    return Separator("plain", repo=repo, device="cpu", shifts=0)


def test_a_separator_says_what_its_model_takes(separator, repo):
    assert (separator.samplerate, separator.audio_channels) == (RATE, 2)
    assert separator.model.sources == ["drums", "vocals"]
    assert isinstance(Separator("alike", repo).model, BagOfModels)


def test_stems_are_those_of_apply_model_at_the_tracks_own_level(separator, snr):
    wav = 0.01 * noise(3000) + 0.3
    original, stems = separator.separate_tensor(wav)
    assert torch.equal(original, wav)
    mono = wav.mean(0)
    deviation = mono.std() + 1e-8
    wanted = apply_model(separator.model, ((wav - mono.mean()) / deviation)[None], shifts=0)[0]
    assert list(stems) == ["drums", "vocals"]
    for stem, expected in zip(stems.values(), wanted, strict=True):
        assert snr(expected * deviation + mono.mean(), stem) > 80


@pytest.mark.parametrize("levelled", [True, False])
def test_a_model_hears_the_level_it_wants(monkeypatch, snr, levelled):
    class Listener(torch.nn.Module):
        spec = ModelSpec(("drums", "vocals"), RATE, 2, segment=4000, levelled=levelled)

        def forward(self, mixture):
            self.heard = mixture
            return torch.stack([mixture, mixture], 1)

    listener = Listener()
    monkeypatch.setattr(api, "get_model", lambda *_: named(listener))
    _, stems = Separator().separate_tensor(0.01 * noise(3000) + 0.3)
    assert snr(0.01 * noise(3000) + 0.3, stems["drums"]) > 100
    assert listener.heard.mean().item() == pytest.approx(0 if levelled else 0.3, abs=1e-3)


def test_a_file_gives_what_its_samples_give(separator, tmp_path):
    unbraid.write(Audio(noise(3000), RATE), tmp_path / "song.wav")
    original, stems = separator.separate_audio_file(tmp_path / "song.wav")
    assert torch.equal(original, noise(3000))
    for name, stem in separator.separate_tensor(noise(3000), RATE)[1].items():
        assert torch.equal(stems[name], stem)


def test_other_rates_and_channels_become_the_models(separator, tmp_path):
    unbraid.write(Audio(tone(44100, channels=1), 44100), tmp_path / "mono.flac")
    original, stems = separator.separate_audio_file(str(tmp_path / "mono.flac"))
    assert original.shape == stems["drums"].shape == (2, RATE)
    assert torch.equal(original[0], original[1])
    surround, _ = separator.separate_tensor(noise(500, channels=6))
    assert torch.equal(surround, noise(500, channels=6)[:2])


def test_silence_and_antiphase_stay_finite(separator):
    for wav in (torch.zeros(2, 2500), antiphase(2500, rate=RATE), torch.zeros(2, 0), noise(1)):
        _, stems = separator.separate_tensor(wav)
        assert all(torch.isfinite(stem).all() and stem.shape == wav.shape for stem in stems.values())
        assert all(stem.abs().sum() <= 100 * wav.abs().sum() + 1e-3 for stem in stems.values())


def test_options_change_one_by_one(separator):
    heard = []
    plain = separator.separate_tensor(noise(5000))[1]["drums"]
    separator.update_parameter(callback=heard.append, callback_arg={"song": 7})
    assert torch.equal(separator.separate_tensor(noise(5000))[1]["drums"], plain)
    first = {
        "song": 7,
        "audio_length": 5000,
        "models": 1,
        "model_idx_in_bag": 0,
        "shift_idx": 0,
        "segment_offset": 0,
        "state": "start",
    }
    assert heard[0] == first
    assert heard[-1] == {**first, "segment_offset": 4500, "state": "end"}
    separator.update_parameter(overlap=0.5, callback=None)
    assert not torch.equal(separator.separate_tensor(noise(5000))[1]["drums"], plain)
    assert len(heard) == 8
    separator.update_parameter(overlap=0.25, segment=0.1)
    assert not torch.equal(separator.separate_tensor(noise(5000))[1]["drums"], plain)
    separator.update_parameter(segment=None, jobs=3)
    assert torch.equal(separator.separate_tensor(noise(5000))[1]["drums"], plain)


def test_a_callback_stops_the_separation(separator):
    def stop(_):
        raise KeyboardInterrupt

    separator.update_parameter(callback=stop)
    with pytest.raises(KeyboardInterrupt):
        separator.separate_tensor(noise(3000))


def test_errors_have_the_names_that_scripts_catch(separator, tmp_path):
    with pytest.raises(LoadAudioError, match="does not exist"):
        separator.separate_audio_file(tmp_path / "nothing.wav")
    with pytest.raises(LoadModelError, match="nothing_like_it"):
        Separator("nothing_like_it")


def test_samples_that_cannot_be_separated_are_refused(separator):
    broken = noise(10)
    broken[0, 3] = torch.inf
    with pytest.raises(NonFiniteAudioError, match="sample 3"):
        separator.separate_tensor(broken)
    for wrong in (noise(10)[0], noise(10).short(), noise(10)[None]):
        with pytest.raises(ShapeError, match=r"\(channels, time\)"):
            separator.separate_tensor(wrong)


def test_the_command_line_is_called_as_demucs_is(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    separate.main(["models", "--help"])
    assert "Usage" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        separate.main(["-n", "htdemucs", "nothing.wav"])
    assert stop.value.code == 3
