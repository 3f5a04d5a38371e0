"""File → stems, with a network that can be reckoned by hand in place of a learned one."""

from __future__ import annotations

import json
import os
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

import unbraid
from fakes import spec_of
from signals import antiphase, chirp, clipped, constant, noise, silence, tone
from unbraid.audio import Audio
from unbraid.engine.plan import Window
from unbraid.errors import (
    AudioError,
    Cancelled,
    MachineError,
    NonFiniteAudioError,
    PlanError,
    UsageError,
)
from unbraid.io.formats import OutputFormat
from unbraid.progress import OutputReady, Progress, Stage

SPEC = spec_of(4000, sources=4, sample_rate=8000, levelled=True, fixed=True)
SHARES = (0.5, 0.3, 0.15, 0.04)  # they leave a residual of a hundredth


class Shares(torch.nn.Module):
    """Each source is a fixed share of the mixture."""

    def __init__(self, shares=SHARES):
        super().__init__()
        self.spec = SPEC
        self.shares = torch.tensor(shares)[:, None, None]

    def forward(self, mixture):
        return mixture[:, None] * self.shares


@pytest.fixture
def network(monkeypatch):
    """What `Separator` loads, whatever the name; a test may exchange its shares."""
    shares = Shares()
    found = SimpleNamespace(name="shares", fingerprint="f" * 64, overlap=0.25, window=Window.TRIANGLE)
    monkeypatch.setattr("unbraid.lineup.resolve", lambda *_, **__: found)
    monkeypatch.setattr("unbraid.lineup.network", lambda _: shares)
    return shares


@pytest.fixture
def song(tmp_path):
    """Writes samples to a file and gives its path."""

    def write(samples, rate=8000, name="song.wav", bits="32f"):
        return unbraid.write(Audio(samples, rate), tmp_path / name, bits=bits)

    return write


def leftovers(folder):
    """All files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def folders(folder):
    """All folders below a folder."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()]


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("length", [0, 1, 2, 3999, 4000, 4001, 12345])
@pytest.mark.parametrize("rate", [8000, 11025, 7999, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_estimates_have_the_mixtures_length_rate_and_channels(length, rate, channels):
    mixture = Audio(noise(length, channels=channels), rate)
    estimates = unbraid.separate(mixture)
    assert estimates.sample_rate == rate
    assert estimates.samples.shape == (4, channels, length)
    assert torch.isfinite(estimates.samples).all()


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("signal", [tone, noise, silence, antiphase, clipped, chirp])
@pytest.mark.parametrize("shifts", [1, 3])
def test_each_source_is_its_share_of_odd_signals(signal, shifts):
    samples = signal(9001)
    estimates = unbraid.separate(Audio(samples, 8000), shifts=shifts)
    for source, share in zip(SPEC.sources, SHARES, strict=True):
        # The mean of a levelled track is given back to every source whole, as published.
        wanted = (samples - samples.mean()) * share + samples.mean()
        torch.testing.assert_close(estimates[source].samples, wanted, rtol=0, atol=2e-6)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("rate", [11025, 48000])
def test_another_rate_comes_back_in_time_and_shape(rate):
    samples = tone(rate * 3, rate=rate, hz=300)
    vocals = unbraid.separate(Audio(samples, rate))["vocals"].samples
    inner = slice(rate // 4, -rate // 4)  # an onset holds what no lower rate can
    error = (vocals - 0.5 * samples)[:, inner].norm() / (0.5 * samples[:, inner]).norm()
    assert error < 1e-4


@pytest.mark.usefixtures("network")
def test_every_channel_of_surround_is_separated_in_its_place():
    samples = torch.stack([tone(8000, rate=8000, hz=200 + 100 * k, channels=1)[0] for k in range(6)])
    vocals = unbraid.separate(Audio(samples, 8000))["vocals"].samples
    torch.testing.assert_close(vocals, 0.5 * samples, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("mixture", [noise(9001), clipped(9001), constant(9001), antiphase(9001)])
def test_an_exact_sum_is_exact_in_float64(mixture):
    estimates = unbraid.separate(Audio(mixture, 8000), sum="exact")
    assert estimates.residual(Audio(mixture, 8000)).samples.abs().max() <= 1e-7


@pytest.mark.usefixtures("network")
def test_pieces_of_a_stream_put_together_are_the_whole(song):
    path = song(noise(50_000))
    with unbraid.Separator("shares") as separator:
        pieces = [piece.samples for piece in separator.stream(path)]
        whole = separator.separate(path).samples
    assert len(pieces) > 1
    assert torch.equal(torch.cat(pieces, -1), whole)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("bits", ["16", "24", "32f"])
@pytest.mark.parametrize("name", ["wav", "flac"])
def test_files_hold_what_separate_gives(song, tmp_path, bits, name):
    if (name, bits) == ("flac", "32f"):
        return
    path = song(noise(9001))
    with unbraid.Separator("shares") as separator:
        made = separator.to_files(path, out=tmp_path / "out", format=OutputFormat(name, bits=bits))
        whole = separator.separate(path)
    step = 0 if bits == "32f" else 2.0 ** (1 - int(bits))
    for stem, place in made.stems.items():
        written = unbraid.read(place)
        assert written.sample_rate == 8000
        assert (written.samples - whole[stem].samples).abs().max() <= step / 2 + 1e-9


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("bits", ["16", "24", "32f"])
@pytest.mark.parametrize("stems", [None, ["vocals", "rest"], ["drums", "no_drums"]])
def test_written_stems_add_up_to_the_mixture(song, tmp_path, bits, stems):
    mixture = song(noise(9001), bits=bits)
    with unbraid.Separator("shares", stems=stems, sum="exact") as separator:
        made = separator.to_files(mixture, out=tmp_path / "out")
    total = sum(unbraid.read(place).samples.double() for place in made.stems.values())
    tolerance = 1e-7 if bits == "32f" else 2.0 ** (1 - int(bits))
    assert (total - unbraid.read(mixture).samples.double()).abs().max() <= tolerance
    assert made.gain_db == 0


@pytest.mark.usefixtures("network")
def test_integer_stems_of_an_integer_mixture_leave_nothing(song, tmp_path):
    with unbraid.Separator("shares", sum="exact") as separator:
        made = separator.to_files(song(noise(9001), bits="16"), out=tmp_path / "out")
    assert made.residual_db is None
    assert json.loads(made.sidecar.read_text())["residual_db"] is None


def test_one_gain_for_all_keeps_integers_from_clipping_and_floats_are_untouched(network, song, tmp_path):
    network.shares = torch.tensor([3.0, -1.0, -0.5, -0.5])[:, None, None]
    path = song(tone(9001, rate=8000, gain=0.9))
    with unbraid.Separator("shares") as separator:
        integer = separator.to_files(path, out=tmp_path / "int", format=OutputFormat("wav", bits="16"))
        floating = separator.to_files(path, out=tmp_path / "float", format=OutputFormat("wav", bits="32f"))
    assert integer.gain_db == pytest.approx(-8.63, abs=0.02)
    assert floating.gain_db == 0
    gain = 10 ** (integer.gain_db / 20)
    for stem, place in floating.stems.items():
        loud, safe = unbraid.read(place).samples, unbraid.read(integer.stems[stem]).samples
        torch.testing.assert_close(safe, gain * loud, rtol=0, atol=2.0**-15)
    assert max(integer.peaks.values()) < 1 < max(floating.peaks.values())


@pytest.mark.parametrize("at", [0, 40_000, 89_999])
@pytest.mark.parametrize("bits", ["16", "24"])
def test_one_gain_is_for_what_was_written_before_a_stem_clipped_too(network, song, tmp_path, at, bits):
    network.shares = torch.tensor([0.9, 0.05, 0.03, 0.01])[:, None, None]
    mixture = noise(90_000)
    mixture[:, at] = 2.0
    with unbraid.Separator("shares") as separator:
        made = separator.to_files(song(mixture), out=tmp_path / "out", format=OutputFormat("wav", bits=bits))
        expected = separator.separate(tmp_path / "song.wav").samples
    gain = 10 ** (made.gain_db / 20)
    assert gain == pytest.approx(1 / 1.8, rel=1e-3)
    assert made.peaks["vocals"] == pytest.approx(1, abs=1e-3)
    left = (mixture - expected.sum(0)).norm() / mixture.norm()
    assert made.residual_db == pytest.approx(20 * left.log10().item(), abs=0.1)
    for place, stem in zip(made.stems.values(), expected, strict=True):
        torch.testing.assert_close(unbraid.read(place).samples, gain * stem, rtol=0, atol=2.0**-15)
    assert len(leftovers(tmp_path / "out")) == 5  # the stems and what is known of them


def test_a_failure_after_a_stem_clipped_leaves_nothing(network, song, tmp_path):
    calls = []

    def forward(mixture):
        calls.append(1)
        if len(calls) == 15:
            raise RuntimeError("a bug")
        return 20 * mixture[:, None].expand(-1, 4, -1, -1)

    network.forward = forward
    with unbraid.Separator("shares") as separator, pytest.raises(RuntimeError, match="a bug"):
        separator.to_files(song(noise(90_000)), out=tmp_path / "out")
    assert leftovers(tmp_path) == ["song.wav"]
    assert folders(tmp_path) == []


@pytest.mark.usefixtures("network")
def test_the_sidecar_says_how_to_make_the_same_stems_again(song, tmp_path):
    with unbraid.Separator("shares", shifts=2, seed=5) as separator:
        made = separator.to_files(song(tone(8000, rate=8000), bits="24"), out=tmp_path / "out")
    record = json.loads(made.sidecar.read_text())
    assert made.sidecar == tmp_path / "out/shares/song/unbraid.json"
    assert record["model"] == "shares"
    (network,) = record["networks"]
    assert (network["model"], network["weights"]) == ("shares", "f" * 64)
    assert network["plan"]["segment"] == 4000
    assert (network["plan"]["shifts"], network["plan"]["seed"]) == (2, 5)
    assert record["unbraid"] == unbraid.__version__
    assert record["format"]["bits"] == "24"
    assert record["length"] == 8000
    assert record["stems"]["vocals"]["peak"] > 0
    assert record["residual_db"] == pytest.approx(-40, abs=0.5)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("name", ["mp3", "ogg", "opus", "m4a"])
def test_lossy_stems_have_the_mixtures_length(song, tmp_path, name):
    with unbraid.Separator("shares", stems=["vocals"]) as separator:
        made = separator.to_files(song(noise(48_123), rate=48000), out=tmp_path, format=OutputFormat(name))
    assert unbraid.read(made.stems["vocals"]).length == 48_123


@pytest.mark.usefixtures("network")
def test_an_exact_sum_of_lossy_stems_is_refused(song, tmp_path):
    with (
        unbraid.Separator("shares", sum="exact") as separator,
        pytest.raises(UsageError, match="cannot add up exactly; use wav or flac"),
    ):
        separator.to_files(song(noise(100)), out=tmp_path / "out", format=OutputFormat("mp3"))


@pytest.mark.usefixtures("network")
def test_an_exact_sum_needs_every_source():
    with pytest.raises(UsageError, match="add 'rest'"):
        unbraid.Separator("shares", stems=["vocals"], sum="exact")


@pytest.mark.usefixtures("network")
def test_part_of_a_track_is_that_part(song, tmp_path):
    path = song(noise(30_000))
    with unbraid.Separator("shares") as separator:
        made = separator.to_files(path, out=tmp_path / "out", start_seconds=1.0, duration_seconds=0.5)
    assert unbraid.read(made.stems["drums"]).length == 4000
    assert made.audio_seconds == 0.5


@pytest.mark.usefixtures("network")
def test_stems_that_are_there_are_kept_unless_asked(song, tmp_path):
    path, out = song(noise(9001)), tmp_path / "out"
    with unbraid.Separator("shares") as separator:
        made = separator.to_files(path, out=out)
        stamp = made.stems["vocals"].stat().st_mtime_ns
        with pytest.raises(UsageError, match="set overwrite or skip_existing"):
            separator.to_files(path, out=out)
        assert separator.to_files(path, out=out, skip_existing=True).skipped
        assert made.stems["vocals"].stat().st_mtime_ns == stamp
        assert not separator.to_files(path, out=out, overwrite=True).skipped


@pytest.mark.usefixtures("network")
def test_a_template_without_the_stem_is_refused(song, tmp_path):
    with unbraid.Separator("shares") as separator, pytest.raises(UsageError, match=r"put \{stem\} in it"):
        separator.to_files(song(noise(100)), "{track}.{ext}", out=tmp_path / "out")


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("bits", ["16", "32f"])
@pytest.mark.parametrize("stage", [Stage.MEASURE, Stage.SEPARATE, Stage.FINISH])
def test_cancelling_at_any_stage_leaves_nothing(song, tmp_path, bits, stage):
    if (bits, stage) == ("32f", Stage.FINISH):
        return  # floats are whole by then
    cancel = threading.Event()

    def listen(event):
        if isinstance(event, Progress) and event.stage is stage:
            cancel.set()

    path, out = song(noise(90_000)), tmp_path / "out"
    with (
        unbraid.Separator("shares", on_event=listen, cancel=cancel) as separator,
        pytest.raises(Cancelled),
    ):
        separator.to_files(path, out=out, format=OutputFormat("wav", bits=bits))
    assert leftovers(tmp_path) == ["song.wav"]


def test_a_failure_in_the_middle_leaves_nothing(network, song, tmp_path):
    calls = []

    def forward(mixture):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("a bug")
        return mixture[:, None].expand(-1, 4, -1, -1)

    network.forward = forward
    with unbraid.Separator("shares") as separator, pytest.raises(RuntimeError, match="a bug"):
        separator.to_files(song(noise(90_000)), out=tmp_path / "out")
    assert leftovers(tmp_path) == ["song.wav"]
    assert folders(tmp_path) == []


@pytest.mark.usefixtures("network")
def test_a_sidecar_that_cannot_be_written_takes_the_stems_with_it(song, tmp_path):
    (tmp_path / "out/shares/song/unbraid.json").mkdir(parents=True)  # a folder is in its way
    with unbraid.Separator("shares") as separator, pytest.raises(MachineError, match=r"unbraid\.json cannot"):
        separator.to_files(song(noise(9001)), out=tmp_path / "out")
    assert leftovers(tmp_path) == ["song.wav"]


@pytest.mark.usefixtures("network")
def test_a_folder_that_is_a_file_is_said_so_and_no_folder_is_left(song, tmp_path):
    (tmp_path / "out").write_text("a file")
    with unbraid.Separator("shares") as separator, pytest.raises(MachineError, match="cannot be written"):
        separator.to_files(song(noise(9001)), out=tmp_path / "out")
    assert leftovers(tmp_path) == ["out", "song.wav"]


@pytest.mark.usefixtures("network")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a name")
def test_a_name_that_is_no_unicode_is_separated_like_any_other(song, tmp_path):
    strange = tmp_path / os.fsdecode(b"\xff\xfea.wav")
    song(noise(9001)).rename(strange)
    with unbraid.Separator("shares") as separator:
        made = separator.to_files(strange, out=tmp_path / "out")
    assert json.loads(made.sidecar.read_text())["length"] == 9001


@pytest.mark.usefixtures("network")
def test_a_disk_without_room_is_refused_before_work(song, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with unbraid.Separator("shares") as separator, pytest.raises(MachineError, match="make room"):
        separator.to_files(song(noise(9001)), out=tmp_path / "out")
    assert leftovers(tmp_path) == ["song.wav"]


@pytest.mark.usefixtures("network")
def test_nan_is_refused_with_its_file_and_time(tmp_path):
    import soundfile

    samples = noise(30_000)
    samples[1, 12_000] = torch.nan
    soundfile.write(tmp_path / "broken.wav", samples.T.numpy(), 8000, subtype="FLOAT")
    with (
        unbraid.Separator("shares") as separator,
        pytest.raises(NonFiniteAudioError, match=r"broken\.wav.*0:01\.500"),
    ):
        separator.to_files(tmp_path / "broken.wav", out=tmp_path / "out")
    with pytest.raises(NonFiniteAudioError, match="in memory"):
        unbraid.separate(Audio(samples, 8000))


@pytest.mark.usefixtures("network")
def test_a_file_that_is_no_audio_is_said_so(tmp_path):
    (tmp_path / "song.mp3").write_text("these are words")
    with pytest.raises(AudioError, match=r"song\.mp3"):
        unbraid.separate(tmp_path / "song.mp3")


@pytest.mark.usefixtures("network")
def test_the_callers_samples_are_never_changed():
    samples = noise(9001)
    kept = samples.clone()
    unbraid.separate(Audio(samples, 8000), sum="exact", shifts=2)
    unbraid.separate(Audio(samples, 44100))
    assert torch.equal(samples, kept)


@pytest.mark.usefixtures("network")
def test_events_tell_every_stage_in_order_and_each_stem(song, tmp_path):
    events = []
    with unbraid.Separator("shares", on_event=events.append) as separator:
        separator.to_files(song(noise(30_000)), out=tmp_path / "out", format=OutputFormat("flac"))
    stages = list(dict.fromkeys(event.stage for event in events if isinstance(event, Progress)))
    assert stages == [Stage.MEASURE, Stage.SEPARATE, Stage.FINISH]
    for stage in stages:
        last = [event for event in events if isinstance(event, Progress) and event.stage is stage][-1]
        assert last.fraction == 1.0
    assert [event.stem for event in events if isinstance(event, OutputReady)] == list(SPEC.sources)


@pytest.mark.usefixtures("network")
def test_two_default_runs_give_the_same_samples():
    mixture = Audio(noise(30_000), 8000)
    assert torch.equal(unbraid.separate(mixture).samples, unbraid.separate(mixture).samples)


def test_a_network_of_the_users_own_is_taken_as_it_is():
    with unbraid.Separator(Shares()) as separator:
        estimates = separator.separate(Audio(tone(8000, rate=8000), 8000))
    assert separator.name == "shares"
    torch.testing.assert_close(estimates["drums"].samples, 0.3 * tone(8000, rate=8000), rtol=0, atol=1e-6)


def test_a_network_that_says_nothing_of_itself_is_refused():
    with pytest.raises(UsageError, match="has no `spec: ModelSpec`"):
        unbraid.Separator(torch.nn.Linear(1, 1))


@pytest.mark.usefixtures("network")
def test_a_segment_longer_than_the_network_takes_is_refused():
    with pytest.raises(PlanError, match=r"at most 0\.50 s"):
        unbraid.Separator("shares", segment_seconds=1.0)
