"""`ugicm-export inspect`: what a bundle holds, engine by engine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from ugicm.bundle import Bundle

from ugicm_export.targets import format_table


def describe_bundle(path: Path) -> dict[str, Any]:
    """Facts of a bundle as JSON values; BundleError if it does not open."""
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    return {
        "bundle": str(path),
        "name": manifest.name,
        "preset": manifest.preset,
        "fingerprint": manifest.fingerprint,
        "created": manifest.created,
        "license": manifest.license,
        "variants": bundle.variants,
        "folded": manifest.folded,
        "verification": manifest.verification,
        "files": {name: entry | _engine(bundle, name) for name, entry in manifest.files.items()},
    }


def _engine(bundle: Bundle, name: str) -> dict[str, Any]:
    if not name.endswith(".onnx"):
        return {}
    model = onnx.load_from_string(bundle.read(name))
    return {
        "inputs": {value.name: _shape(value) for value in model.graph.input},
        "outputs": {value.name: _shape(value) for value in model.graph.output},
        "opset": next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")),
        "nodes": len(model.graph.node),
        "operators": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        "metadata": {prop.key: prop.value for prop in model.metadata_props},
    }


def _shape(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    sides = ", ".join(side.dim_param or str(side.dim_value) for side in tensor.shape.dim)
    return f"{TensorProto.DataType.Name(tensor.elem_type).lower()} ({sides})"


def as_text(facts: dict[str, Any]) -> str:
    """The same for people."""
    rows = []
    for name, entry in facts["files"].items():
        ports = [f"{key} {shape}" for key, shape in {**entry.get("inputs", {}), **entry.get("outputs", {})}.items()]
        rows.append((name, f"{entry['bytes'] / 2**20:.2f}", entry.get("nodes", ""), entry["sha256"][:16], "; ".join(ports)))
    table = format_table(("file", "MiB", "nodes", "sha256", "inputs and outputs"), rows)
    lines = [
        f"{facts['name']} ({facts['preset']}), fingerprint {facts['fingerprint']}, {facts['license']}, {facts['created']}",
        f"variants: {', '.join(facts['variants'])}",
        *[f"{one['file']}: preference {one['preference']} folded in" for one in facts["folded"]],
        *[_loss(name, loss) for name, loss in facts["verification"].get("variants", {}).items()],
        *_sweep(facts["verification"].get("sweep")),
    ]
    return "\n".join([*lines, "", table])


def _loss(name: str, loss: dict[str, Any]) -> str:
    speed = loss["speed"]
    return (
        f"{name}: {loss['psnr_loss']:+.3f} dB lost, rate {loss['rate_change']:+.2%}, on the exporting machine "
        f"{speed['encoder']}x / {speed['decoder']}x as fast to encode / decode"
    )


def _sweep(record: dict[str, Any] | None) -> list[str]:
    """The record of `ugicm-export verify` made at export; there is none after `--skip-verify`."""
    if record is None:
        return ["verified set-ups: none recorded; run ugicm-export verify"]
    pairs = f"{record['pairs_with_equal_symbols']} of {record['pairs']} pairs of variants with equal symbols"
    lines = [f"verified {record['date']} with onnxruntime {record['onnxruntime']}: {pairs}; compared with {record['compared_with']}"]
    for name, one in record["variants"].items():
        lines.append(f"  {name}: {'; '.join(one['setups'])}")
        lines += [
            f"    {tensor}: {count['different']} of {count['values']} values differ, from {count['ties']} causes, by up to "
            f"{count['largest']} (allowed: share {count['allowed_share']:g}, step {count['allowed_step']})"
            for tensor, count in one["tensors"].items()
        ]
    return lines
