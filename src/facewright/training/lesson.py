"""Which settings change what a net is taught, and which change how its loss is measured."""

from __future__ import annotations

import hashlib

from facewright.training.settings import TrainSettings

_LOSS_SETTINGS = (
    "masked_training", "blur_out_mask", "eyes_mouth_prio", "eyes_mouth_weight", "mouth_area", "random_warp",
    "warp_strength", "warp_independent", "rotation_deg", "scale", "shift", "match_colour",
    "uniform_yaw", "random_hsv_power", "ct_mode", "face_style_power", "bg_style_power", "light_power", "degrade_power",
    "parity",
)
NO_LESSON = frozenset(
    {
        "autobackup_hours", "begin_with", "checkpoint_decoder", "clock", "compile", "device", "ema", "ema_decay",
        "iterations", "keep", "log_every", "memory_format", "minutes", "on_collapse", "on_plateau", "optimiser_device",
        "plateau", "precision", "preview_dst", "preview_history", "preview_seconds", "preview_src", "save_minutes",
        "threads",
    }
)
"""Settings that change nothing of what is learned: a plateau seen under them stays one."""
BUDGET = frozenset({"iterations", "minutes", "clock"})
"""Settings that decide when a training ends, and with it the course of a learning rate that follows the budget."""


def loss_key(s: TrainSettings, measured_on: str = "") -> str:
    """Digest of what decides how large a loss is, settings and Training.measured_on: only losses of one key are
    compared ("best")."""
    text = repr([(name, getattr(s, name, None)) for name in _LOSS_SETTINGS]) + measured_on
    return hashlib.sha256(text.encode()).hexdigest()[:16]
