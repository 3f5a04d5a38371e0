"""The command as a user starts it: a child process for each case, and a table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from unbraid.networks.base import build
from unbraid.zoo.convert import write
from unbraid.zoo.package import Package, fingerprint

CONFIG = {"channels": 8, "bottom_channels": 16, "t_heads": 2, "segment": 1}


@pytest.fixture
def checkpoint(tmp_path):
    tensors = dict(build("htdemucs", CONFIG).state_dict())
    path = tmp_path / "tiny.safetensors"
    write(Package("tiny", "htdemucs", CONFIG, tensors, fingerprint(tensors)), path)
    return path


def command(checkpoint, *options):
    return [
        sys.executable,
        "-m",
        "unbraid",
        "bench",
        "-n",
        str(checkpoint),
        "--device",
        "cpu",
        "--backend",
        "eager",
        "--precision",
        "exact",
        *options,
    ]


def test_a_checkpoint_is_measured_from_the_command_line(checkpoint, tmp_path):
    out = tmp_path / "bench.json"
    options = ["--threads", "1", "--seconds", "0.1", "-o", str(out)]
    done = subprocess.run(command(checkpoint, *options), capture_output=True, text=True, check=True)
    (result,) = json.loads(out.read_text())["results"]
    assert result["parameters"] == 317_856
    assert result["peak_bytes"] is None or result["peak_bytes"] > 1e8
    assert "tiny.safetensors" in done.stdout
    assert "case 1 of 1" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches other processes in another way there")
def test_ctrl_c_ends_the_command_and_its_child(checkpoint):
    process = subprocess.Popen(
        command(checkpoint, "--seconds", "600"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stderr:  # the first case has begun
        if "measuring" in line:
            break
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the child, too
    said = process.stderr.read()  # ends when both have gone
    assert process.wait(60) == 130
    process.stderr.close()
    assert "Traceback" not in said
