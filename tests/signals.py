"""Signals that break things: each returns `(channels, time)` in float32."""

from __future__ import annotations

import math

import torch


def tone(length: int, *, hz: float = 440.0, rate: int = 44100, channels: int = 2, gain: float = 0.5):
    """A sine, alike in all channels."""
    time = torch.arange(length, dtype=torch.float64) / rate
    return (gain * torch.sin(2 * math.pi * hz * time)).float().expand(channels, -1).clone()


def noise(length: int, *, channels: int = 2, gain: float = 0.1, seed: int = 0):
    """White noise, independent in each channel."""
    generator = torch.Generator().manual_seed(seed)
    return gain * torch.randn(channels, length, generator=generator)


def click(length: int, *, at: int = 0, channels: int = 2):
    """One sample of full scale."""
    samples = torch.zeros(channels, length)
    samples[:, at] = 1.0
    return samples


def silence(length: int, *, channels: int = 2):
    """Nothing."""
    return torch.zeros(channels, length)


def constant(length: int, *, value: float = 0.5, channels: int = 2):
    """A direct current."""
    return torch.full((channels, length), value)


def antiphase(length: int, *, rate: int = 44100):
    """Left is minus right: the mono sum is exactly zero."""
    left = tone(length, rate=rate, channels=1)
    return torch.cat([left, -left])


def clipped(length: int, *, rate: int = 44100, channels: int = 2):
    """A sine driven far over full scale and cut there."""
    return tone(length, rate=rate, channels=channels, gain=4.0).clamp(-1, 1)


def chirp(length: int, *, rate: int = 44100, channels: int = 2, gain: float = 0.5):
    """A sweep from 20 Hz to 20 kHz."""
    time = torch.arange(length, dtype=torch.float64) / rate
    span = max(length, 1) / rate
    phase = 2 * math.pi * (20.0 * time + (20_000.0 - 20.0) * time.square() / (2 * span))
    return (gain * torch.sin(phase)).float().expand(channels, -1).clone()
