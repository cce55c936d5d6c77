"""Coverage-guided fuzzing of one target: `python tests/fuzz/run_fuzzer.py stream -max_total_time=600 [libFuzzer options]`.

Needs `pip install atheris` (Linux). New inputs are kept in build/fuzz/TARGET; a finding is written as crash-*.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ugicm"]):
    sys.path.insert(0, str(Path(__file__).parent))
    import fuzz_targets

name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
if name not in fuzz_targets.TARGETS:
    sys.exit(f"name a target: {', '.join(fuzz_targets.TARGETS)}")
grown = Path("build/fuzz") / name
grown.mkdir(parents=True, exist_ok=True)
atheris.Setup([*sys.argv, str(grown), str(fuzz_targets.CORPUS / name)], fuzz_targets.TARGETS[name])
atheris.Fuzz()
