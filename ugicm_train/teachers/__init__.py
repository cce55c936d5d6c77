"""Frozen networks whose features say what a picture means: the machine objective without labels."""

from __future__ import annotations

from ugicm_train.teachers.base import FeatureTeacher, Panel, Seen, Teacher

__all__ = ["FeatureTeacher", "Panel", "Seen", "Teacher", "open_teacher"]


def open_teacher(spec: str) -> FeatureTeacher | Panel:
    """The teacher that `spec` names; ValueError or FileNotFoundError says what is wrong with it.

    Several, with commas between them, are a panel.
    `open_clip:ARCH:TAG` and `open_clip:ARCH:FILE` are the visual tower of a CLIP, `timm:ARCH:FILE` is a network of timm (with
    `?mean=0.5&std=0.5` where the file wants another normalisation than timm's), `export:FILE` is a program of `torch.export`
    that gives feature maps (`ExportedTeacher`), and FILE alone is timm's mobilenetv2_100 with TensorFlow's padding and normalisation.
    """
    specs = spec.split(",")
    if len(specs) == 1:
        return _open_one(spec)
    if not all(specs):
        raise ValueError(
            f"teacher {spec!r} has an empty part; several teachers are written with single commas between them"
        )
    return Panel([_open_one(part) for part in specs])


def _open_one(spec: str) -> FeatureTeacher:
    family, _, rest = spec.partition(":")
    if family == "open_clip":
        from ugicm_train.teachers.clip import ClipTeacher

        arch, _, weights = rest.partition(":")
        if not arch or not weights:
            raise ValueError(f"teacher {spec!r} is not open_clip:ARCH:TAG or open_clip:ARCH:FILE")
        return ClipTeacher(arch, weights)
    if family == "export":
        from ugicm_train.teachers.exported import ExportedTeacher

        return ExportedTeacher(rest)
    from ugicm_train.teachers.timm_net import MobileNetTeacher, open_timm

    if family == "timm":
        return open_timm(spec, rest)
    return MobileNetTeacher(spec)
