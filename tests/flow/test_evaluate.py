"""`unbraid evaluate`: from a folder of songs to tables, files and an exit code."""

from __future__ import annotations

import json
import re

import pytest
import torch

from datasets import RATE, musdb18hq, save, sound
from signals import noise
from unbraid.cli.main import main
from unbraid.separator import Separator
from unbraid.spec import ModelSpec

FOUR = ("vocals", "drums", "bass", "other")


class Shares(torch.nn.Module):
    """Each source is a share of the mixture."""

    def __init__(self, *sources):
        super().__init__()
        self.spec = ModelSpec(sources, RATE, 2, segment=RATE)

    def forward(self, mixture):
        return torch.stack([mixture / len(self.spec.sources) for _ in self.spec.sources], 1)


class FakeSeparator(Separator):
    """The real front door around a network that takes no time."""

    def __init__(self, model, **options):
        sources = ("vocals", "accompaniment") if "2stems" in model else FOUR
        super().__init__(Shares(*sources).eval(), **options)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in a folder with a data set, and one of estimates for both of its songs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unbraid.evaluation.columns.Separator", FakeSeparator)
    musdb18hq(tmp_path / "data")
    for split in ("train", "test"):
        for at, stem in enumerate(FOUR):
            guess = sound(at) + noise(RATE, gain=0.01, seed=9)
            save(tmp_path / "mine" / split / "A - Song" / f"{stem}.wav", guess, subtype="FLOAT")

    def run(*arguments):
        code = main(["evaluate", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_folders_are_scored(run):
    code, out, err = run("data", "mine")
    assert code == 0
    assert "SDR of BSSEval v4 in dB: median over seconds, then median over songs" in out
    rows = re.findall(r"^mine +(−?\d+\.\d\d) \[", out, re.MULTILINE)
    assert len(rows) == 5  # four of BSSEval, and the global one
    assert "mine: song 1 of 2" in err
    assert "scores are in evaluation; 0 were there already" in err


def test_models_and_oracles_are_scored_in_one_pass_and_compared(run, tmp_path):
    asked = (
        "--data",
        "data",
        "-n",
        "htdemucs",
        "-n",
        "spleeter.2stems",
        "--oracle",
        "irm2",
        "--metrics",
        "sdr",
    )
    code, out, err = run(*asked)
    assert code == 0
    assert re.findall(r"^(\S+) +−?\d", out, re.MULTILINE) == ["htdemucs", "spleeter.2stems", "oracle.irm2"]
    assert "spleeter.2stems over htdemucs, vocals: " in out
    assert "(with 2 it cannot fall below 0.5)" in out
    assert "htdemucs, A - Song: separating" in err
    assert (tmp_path / "evaluation/spleeter.2stems/test/A - Song.json").is_file()
    code, again, err = run(*asked)
    assert (code, again) == (0, out)
    assert "6 were there already" in err


def test_its_own_scores_can_be_read_as_estimates(run):
    _, first, _ = run("data", "mine")
    code, again, _ = run("data", "evaluation/mine")
    assert (code, again) == (0, first)


def test_one_object_of_json_and_files_for_other_programs(run, tmp_path):
    asked = ("data", "ours=mine", "--json", "-q", "--csv", "a.csv", "--parquet", "a.parquet", "--frames")
    code, out, err = run(*asked)
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert list(said["tables"][0]["rows"]) == ["ours"]
    assert said["tracks"] == ["test/A - Song", "train/A - Song"]
    assert json.loads(run(*asked)[1]) == said
    assert (
        (tmp_path / "a.csv")
        .read_text(encoding="utf-8")
        .startswith("model,split,track,stem,metric,value,time")
    )
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"


def test_a_split_a_part_stems_and_sums_are_chosen(run):
    chosen = ("--split", "test", "--start", "0.2", "--duration", "0.5", "--metrics", "si_sdr")
    sums = ("--sources", "vocals=vocals", "--sources", "accompaniment=drums+bass+other")
    code, out, _ = run("data", "mine", *chosen, *sums, "--stems", "accompaniment")
    assert code == 0
    assert out.splitlines()[0] == "SI-SDR in dB: mean over songs"
    assert out.splitlines()[1].split() == ["accompaniment", "mean", "songs"]
    assert out.splitlines()[2].split()[-1] == "1"


def test_seconds_are_left_out_as_museval_does_if_asked(run, tmp_path):
    left = sound(0)
    left[1] = -left[0]
    save(tmp_path / "data/test/A - Song/vocals.wav", left, subtype="FLOAT")
    asked = ("data", "mine", "--split", "test", "--metrics", "bsseval", "--no-beside")
    assert re.search(r"^mine +−?\d+\.\d\d", run(*asked)[1], re.MULTILINE)
    code, out, _ = run(*asked, "--silence", "museval", "--stems", "vocals")
    assert code == 0
    assert "mine" not in out


def test_a_missing_song_is_told_and_makes_the_exit_code(run, tmp_path):
    (tmp_path / "mine/test/A - Song").rename(tmp_path / "mine/test/B - Song")
    code, out, err = run("data", "mine", "--metrics", "sdr", "-q")
    assert code == 6
    assert "mine: mine holds nothing for test/A - Song" in err
    assert err.splitlines()[-1] == "unbraid: 1 of 2 scores are missing: test/A - Song (mine)"
    assert re.search(r"^mine .* 1$", out, re.MULTILINE)


def test_the_only_score_fails_with_its_own_code(run, tmp_path):
    save(tmp_path / "mine/test/A - Song/vocals.wav", sound(0), rate=16000)
    code, out, err = run("data", "mine", "--split", "test", "-q")
    assert (code, out) == (3, "")
    assert "at 16000 Hz, the song at 8000 Hz" in err


def test_published_scores_stand_beside_those_of_the_same_songs(run, monkeypatch):
    from unbraid.evaluation import published

    known = {name: published.DATA[name] for name in published.DATA}
    known["musdb18hq"] = published.DataSet("MUSDB18-HQ", songs=1, layout="musdb18hq", edition="musdb18")
    monkeypatch.setattr(published, "DATA", known)
    monkeypatch.setattr("unbraid.cli.evaluated.DATA", known)
    code, out, _ = run("data", "mine", "--split", "test", "--metrics", "bsseval")
    assert code == 0
    head = out.split("\n\n")[0]
    assert re.search(r"^SCNet \(published\) +9\.89 +10\.51 +8\.82 +6\.76", head, re.MULTILINE)
    assert "(published)" not in out.split("\n\n")[1]  # ISR, which nobody publishes
    assert "(published)" not in run("data", "mine", "--split", "test", "--no-beside")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "name a folder of songs with true stems"),
        (("data",), 2, "name models with -n, or folders of estimates"),
        (("gone", "mine"), 2, "gone is no folder"),
        (("data", "mine", "--split", "tset"), 2, "it has test, train; did you mean test?"),
        (("data", "mine", "--metrics", "sdrr"), 2, "did you mean"),
        (("data", "mine", "--sources", "a"), 2, "write own, four, or a sum"),
        (("data", "mine", "--sources", "a=b+c"), 2, "the group 'a' asks for b, c"),
        (("data", "mine", "--stems", "vocal"), 2, "did you mean vocals?"),
        (("data", "mine", "--compare", "mime"), 2, "did you mean mine?"),
        (("data", "mine", "mine"), 2, "two rows would be called 'mine'"),
        (("data", "mine", "--csv", "a.txt"), 2, "let it end in .csv or .parquet"),
        (("data", "mine", "--oracle", "irm"), 2, "no oracle is called 'irm'"),
        (("data", "mine", "--beside"), 2, "Nothing published stands beside these scores"),
        (("data", "mine", "--beside", "--metrics", "snr"), 2, "ask for these"),
        (("data", "-n", "htdemucz"), 4, "did you mean htdemucs"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_any_work(run, tmp_path, arguments, code, words):
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert not (tmp_path / "evaluation").exists()


def test_ctrl_c_leaves_whole_files_and_the_rest_can_be_scored_later(run, tmp_path, monkeypatch):
    from unbraid.evaluation import columns

    separate = FakeSeparator.separate
    calls = []

    def stopped(self, recording):
        calls.append(recording)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return separate(self, recording)

    monkeypatch.setattr(columns.Separator, "separate", stopped)
    code, _, err = run("--data", "data", "-n", "htdemucs", "--metrics", "sdr")
    assert code == 130
    assert "stopped" in err
    (kept,) = [path for path in (tmp_path / "evaluation").rglob("*") if path.is_file()]
    assert json.loads(kept.read_text(encoding="utf-8"))["targets"]
    code, _, err = run("--data", "data", "-n", "htdemucs", "--metrics", "sdr")
    assert code == 0
    assert (len(calls), "1 were there already" in err) == (3, True)
