"""The entropy coder's part of the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .markdown import in_order, label, provenance, table


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section."""
    group = in_order(results)
    settings = group[0]["settings"]
    yield f"### Entropy coder on the latents of {settings['pictures']} photos of {settings['dataset']}\n"
    yield (
        f"{provenance(group)} The residual alone, without z and the header; means over the photos at each quality. Excess is "
        "bytes over the ideal code length of the model; rates are millions of symbols per second of processor time through "
        f"the Python interface, one thread of {settings['processor']}, the best of the runs of {settings['seconds']:g} s.\n"
    )
    rows = []
    for result in group:
        columns = result["results"]
        for at, quality in enumerate(settings["qualities"]):
            rows.append(
                [
                    f"{quality:g}",
                    label(result["name"]),
                    f"{columns['bpp'][at]:.3f}",
                    f"{columns['excess'][at]:+.2f} %",
                    f"{columns['encode_rate'][at]:.0f}",
                    f"{columns['decode_rate'][at]:.0f}",
                ]
            )
    rows.sort(key=lambda row: float(row[0]))
    yield from table(["quality", "coder", "ideal bpp", "excess", "encode (M/s)", "decode (M/s)"], rows)
    for result in group:
        if result["ours"]:
            yield from _ours(settings["qualities"], result["ours"])


def _ours(qualities: list[float], extra: dict[str, list[float]]) -> Iterable[str]:
    rows = [
        [f"{quality:g}", f"{network:.2f}", f"{size:.0f}", f"{decode:.3f}"]
        for quality, network, size, decode in zip(qualities, *extra.values())
    ]
    yield from table(["quality", "scale network (ms)", "bytes of z", "decode z (ms)"], rows)
