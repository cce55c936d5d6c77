"""`ugicm-export verify`: a finished bundle against golden symbols and views, however ONNX Runtime is set up.

Golden files are a folder with `golden.json`, a list of {"picture", "level", "preference", "stream", "view", "tolerance"}: file names of
a PNG picture, of its .ugic stream and of the PNG view, and the largest share of differing values per tensor. `write_golden` makes one.
Without golden files the reference is the bundle's own engines on one thread, and so it always is for fp16 and int8 engines, which
are run with several numbers of threads only: another optimisation level fuses them differently, and their rounding with it. What they
are worth is seen in pairs: of every variant's stream every variant makes a view, which must be as near to that of the fp32 engines, on
both sides, as when the bundle was exported, or, where it tells nothing of that, near at all.
"""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import ugicm
from PIL import Image
from ugicm.bitstream import LEVELS
from ugicm.bundle import Bundle, write_bundle
from ugicm.errors import UgicmError
from ugicm.manifest import DECODER, ENCODER, FP32, Manifest

from ugicm_export.measure import psnr
from ugicm_export.pictures import sample_pictures
from ugicm_export.verify import VerificationError

GOLDEN = "golden.json"
TOLERANCE = {"z": 0.0, "r": 1e-5, "image": 1e-4}
"""Largest share of values that may differ, r (where rounding ties count) and image by one; written beside each tensor of a golden set."""
STEP = 1
"""Largest difference of a value of r, and of a pixel in steps of 1/255."""
REACH, FOLLOWERS = 6, 64
"""Symbols that one rounding tie can change: how far away, in 16 pixels (three context steps of two 3x3 filters), and how many."""
NEAR_ENOUGH, PAIR_LOSS, NEAR_UNKNOWN = 45.0, 1.0, 25.0
"""PSNR to fp32 that always does; dB that a pair may be below the manifest's record; what is wanted where there is none."""
THREADS = (1, 2, 4)
OPTIMISATIONS = ("disabled", "basic", "all")
LEVEL_PREFERENCES = ((5, 0.0), (31.5, 0.5), (60, 1.0))
CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Case:
    """One picture with what must come out; z, r are int16 as `ugicm.Symbols` has them."""

    picture: np.ndarray
    level: float
    preference: float
    z: np.ndarray
    r: np.ndarray
    view: np.ndarray
    tolerance: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One tensor of one set-up, over all cases."""

    variant: str
    provider: str
    threads: int
    optimisation: str
    tensor: str
    values: int
    different: int
    ties: int  # causes of the differences: rounding ties for r, the differences themselves elsewhere
    largest: int
    allowed: float  # share of values

    @property
    def passed(self) -> bool:
        """Whether the causes are few enough, and no difference is larger than one step; one rounding tie is always forgiven in r."""
        forgiven = self.allowed * self.values
        if self.tensor == "r":
            forgiven = max(1.0, forgiven)
        return self.ties <= forgiven and self.largest <= STEP


class _Setup:
    """The engines of one variant of a bundle under one provider, number of threads and optimisation level."""

    def __init__(self, bundle: Bundle, variant: str, provider: str, threads: int, optimisation: str) -> None:
        self.names = (variant, provider, threads, optimisation)
        levels = ort.GraphOptimizationLevel
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.graph_optimization_level = {
            "disabled": levels.ORT_DISABLE_ALL, "basic": levels.ORT_ENABLE_BASIC, "all": levels.ORT_ENABLE_ALL
        }[optimisation]  # fmt: skip
        self._encoder, self._decoder = (
            ort.InferenceSession(bundle.engine(name, variant), options, providers=[provider]) for name in (ENCODER, DECODER)
        )
        if provider not in self._encoder.get_providers():
            raise VerificationError(f"provider {provider} did not start; check its driver, or leave it out with --providers")

    def encode(self, picture: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        z, r = self._encoder.run(["z", "r"], {"image": picture[None], "quality": np.array([level], np.float32)})
        return z[0].astype(np.int16), r[0].astype(np.int16)

    def decode(self, z: np.ndarray, r: np.ndarray, level: float, preference: float) -> np.ndarray:
        feeds = {"z": z[None].astype(np.int32), "r": r[None].astype(np.int32), "quality": np.array([level], np.float32)}
        return self._decoder.run(["image"], feeds | {"preference": np.array([preference], np.float32)})[0][0]


def check_bundle(
    path: Path,
    golden: Path | None = None,
    providers: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda text: None,
    threads: Sequence[int] = THREADS,
) -> dict[str, Any]:
    """Report {"passed", "bundle", "rows", "variants"}; `providers` None means every one ONNX Runtime has here.

    Raises BundleError for a bundle that does not open, VerificationError for golden files or providers that cannot be used.
    """
    bundle = Bundle.open(path)
    available = [name for name in ort.get_available_providers() if name != "AzureExecutionProvider"]
    chosen = list(providers or available)
    for name in chosen:
        if name not in available:
            raise VerificationError(f"ONNX Runtime here has no provider {name}; it has {', '.join(available)}")
    cases = list(read_golden(golden, bundle) if golden else own_cases(bundle))
    rows: list[Row] = []
    for provider in chosen:
        setups = [(count, "all") for count in threads] + [(1, level) for level in OPTIMISATIONS[:-1]]
        for count, optimisation in setups if provider == CPU else [(1, "all")]:
            progress(f"verify: fp32 on {provider}, {count} threads, optimisation {optimisation}")
            rows += _compare(_Setup(bundle, FP32, provider, count, optimisation), cases)
    for variant in bundle.variants[1:] if CPU in chosen else []:
        own = list(own_cases(bundle, variant))
        for count in threads:
            progress(f"verify: {variant} on {CPU}, {count} threads")
            rows += _compare(_Setup(bundle, variant, CPU, count, "all"), own)
    pairs = check_variants(bundle)
    return {
        "bundle": str(path),
        "fingerprint": bundle.manifest.fingerprint,
        "golden": str(golden) if golden else "own engines, one thread",
        "onnxruntime": ort.__version__,
        "passed": all(row.passed for row in rows) and all(pair["passed"] for pair in pairs),
        "rows": [asdict(row) | {"passed": row.passed} for row in rows],
        "variants": pairs,
    }


def sweep_record(report: dict[str, Any]) -> dict[str, Any]:
    """What a manifest keeps of a report of `check_bundle`: per variant the set-ups and, per tensor, the counts and the tolerance."""
    variants: dict[str, Any] = {}
    for row in report["rows"]:
        one = variants.setdefault(row["variant"], {"setups": [], "tensors": {}})
        setup = f"{row['provider']}, {row['threads']} threads, optimisation {row['optimisation']}"
        if setup not in one["setups"]:
            one["setups"].append(setup)
        tensor = one["tensors"].setdefault(
            row["tensor"], {"values": 0, "different": 0, "ties": 0, "largest": 0, "allowed_share": row["allowed"], "allowed_step": STEP}
        )
        tensor["values"] += row["values"]
        tensor["different"] += row["different"]
        tensor["ties"] += row["ties"]
        tensor["largest"] = max(tensor["largest"], row["largest"])
    return {
        "date": datetime.date.today().isoformat(),
        "onnxruntime": report["onnxruntime"],
        "compared_with": report["golden"],
        "passed": report["passed"],
        "variants": variants,
        "pairs": len(report["variants"]),
        "pairs_with_equal_symbols": sum(pair["symbols_equal"] for pair in report["variants"]),
        "psnr_to_fp32": {_pair_name(pair): pair["psnr_to_fp32"] for pair in report["variants"]},
    }


def own_cases(bundle: Bundle, variant: str = FP32) -> Iterator[Case]:
    """Cases whose reference is a variant of the bundle itself."""
    setup = _Setup(bundle, variant, CPU, 1, "all")
    for picture, (level, preference) in zip(sample_pictures(), LEVEL_PREFERENCES):
        z, r = setup.encode(picture, level)
        yield Case(picture, level, preference, z, r, setup.decode(z, r, level, preference), TOLERANCE)


def _compare(setup: _Setup, cases: Sequence[Case]) -> list[Row]:
    counts = {name: [0, 0, 0, 0] for name in TOLERANCE}
    for case in cases:
        found = dict(zip(("z", "r"), setup.encode(case.picture, case.level)))
        found["image"] = setup.decode(case.z, case.r, case.level, case.preference)
        for name, wanted in (("z", case.z), ("r", case.r), ("image", case.view)):
            difference = np.abs(found[name].astype(int) - wanted)
            count = counts[name]
            count[0] += difference.size
            count[1] += int((difference > 0).sum())
            count[2] += rounding_ties(difference > 0) if name == "r" else int((difference > 0).sum())
            count[3] = max(count[3], int(difference.max()))
    allowed = {name: min(case.tolerance[name] for case in cases) for name in TOLERANCE}
    return [
        Row(*setup.names, name, values, different, ties, largest, allowed[name])
        for name, (values, different, ties, largest) in counts.items()
    ]


def rounding_ties(differs: np.ndarray) -> int:
    """How many rounding ties explain the symbols (M,h,w) that differ.

    A value within float rounding of a half goes either way, and with it move the means of what is coded later around it: so
    symbols within REACH of one another have one cause, up to FOLLOWERS of them.
    """
    places = {(int(y), int(x)): int(n) for (y, x), n in np.ndenumerate(differs.sum(0)) if n}
    ties = 0
    while places:
        start = next(iter(places))
        edge, size = [start], places.pop(start)
        while edge:
            y, x = edge.pop()
            near = [place for place in places if max(abs(place[0] - y), abs(place[1] - x)) <= REACH]
            size += sum(places.pop(place) for place in near)
            edge += near
        ties += -(-size // FOLLOWERS)
    return ties


def check_variants(bundle: Bundle) -> list[dict[str, Any]]:
    """Every variant's stream of a made-up picture through every variant's codec: symbols equal to the last one, and the view like fp32's.

    Returns one {"encoder", "decoder", "bytes", "symbols_equal", "psnr_to_fp32", "least_psnr", "passed"} per pair; PSNR in dB to what
    the fp32 engines make of their own stream.
    """
    picture = list(sample_pictures())[1]
    recorded = bundle.manifest.verification.get("sweep", {}).get("psnr_to_fp32", {})
    with tempfile.TemporaryDirectory() as folder:
        codecs = {name: ugicm.Codec.open(as_plain(bundle, name, Path(folder) / name), threads=1) for name in bundle.variants}
        pairs: list[dict[str, Any]] = []
        wanted: np.ndarray | None = None  # the view of the first pair, fp32 to fp32
        for writer, encoder in codecs.items():
            stream, symbols = encoder.encode(picture), encoder.encode_symbols(picture)
            for reader, decoder in codecs.items():
                found = decoder.decode_symbols(stream)
                equal = np.array_equal(found.z, symbols.z) and np.array_equal(found.r, symbols.r)
                view = decoder.decode(stream)
                wanted = view if wanted is None else wanted
                near = round(psnr(view, wanted), 3)
                pair = {"encoder": writer, "decoder": reader, "bytes": len(stream), "symbols_equal": equal, "psnr_to_fp32": near}
                known = recorded.get(_pair_name(pair))
                least = NEAR_UNKNOWN if known is None else min(round(known - PAIR_LOSS, 3), NEAR_ENOUGH)
                pairs.append(pair | {"least_psnr": least, "passed": equal and near >= least})
        return pairs


def _pair_name(pair: dict[str, Any]) -> str:
    return f"{pair['encoder']} to {pair['decoder']}"


def as_plain(bundle: Bundle, variant: str, path: Path) -> Path:
    """Write a bundle whose only engines are those of one variant; its fingerprint stays the same."""
    from ugicm.bundle import describe_file
    from ugicm.manifest import ENTROPY

    files = {name: bundle.engine(name, variant) for name in (ENCODER, DECODER)} | {ENTROPY: bundle.read(ENTROPY)}
    content = vars(bundle.manifest) | {
        "files": {name: describe_file(data) for name, data in files.items()},
        "variants": {},
        "folded": [],
    }
    write_bundle(path, Manifest(**content), files)
    return path


def write_golden(path: Path, out: Path) -> None:
    """Make golden files of a bundle in a new folder `out`, from made-up pictures."""
    bundle = Bundle.open(path)
    codec = ugicm.Codec.open(path, threads=1)
    out.mkdir(parents=True)
    entries = []
    for number, (picture, (level, preference)) in enumerate(zip(sample_pictures(), LEVEL_PREFERENCES)):
        stream = codec.encode(picture, level * 100 / (LEVELS - 1))
        names = {"picture": f"{number}.png", "stream": f"{number}.ugic", "view": f"{number}.view.png"}
        Image.fromarray(picture).save(out / names["picture"])
        (out / names["stream"]).write_bytes(stream)
        Image.fromarray(codec.decode(stream, preference=preference)).save(out / names["view"])
        entries.append({**names, "level": level, "preference": preference, "tolerance": TOLERANCE})
    text = json.dumps({"fingerprint": bundle.manifest.fingerprint, "cases": entries}, indent=2)
    (out / GOLDEN).write_text(text + "\n")


def read_golden(folder: Path, bundle: Bundle) -> Iterator[Case]:
    """The cases of a golden folder; VerificationError if it is not one, or belongs to another model."""
    try:
        content = json.loads((folder / GOLDEN).read_text())
        if content["fingerprint"] != bundle.manifest.fingerprint:
            raise VerificationError(
                f"{folder} belongs to model {content['fingerprint']}, the bundle is {bundle.manifest.fingerprint}; "
                "give the golden files of this model"
            )
        if not content["cases"]:
            raise VerificationError(f"{folder / GOLDEN} names no cases; write golden files with `ugicm-export golden`")
        codec = ugicm.Codec(bundle, threads=1)
        for entry in content["cases"]:
            picture, view = (np.asarray(Image.open(folder / entry[key]).convert("RGB")) for key in ("picture", "view"))
            z, r, level = codec.decode_symbols((folder / entry["stream"]).read_bytes())
            yield Case(picture, level, float(entry["preference"]), z, r, view, entry["tolerance"])
    except (OSError, ValueError, KeyError, TypeError, UgicmError) as error:
        raise VerificationError(f"{folder} holds no usable golden files: {type(error).__name__} {error}") from error
