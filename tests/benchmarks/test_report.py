import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import report, report_summary, report_tasks
from benchmarks.config import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.markdown import provenance
from benchmarks.store import Store
from benchmarks.task import REPLICATES

pytest.importorskip("bjontegaard")

OURS = {"codec": "UG-ICM tiny", "fingerprint": "0123456789abcdef", "bundle_sha256": "aa"}
RATES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])


def save_rd(store, name, factor, settings):
    results = {
        "bpp": (RATES * factor).tolist(),
        "psnr-rgb": (30 + 5 * np.log2(RATES)).tolist(),
        "ms-ssim-rgb": (1 - 0.01 / RATES).tolist(),
    }
    settings = {"dataset": "kodak", "pictures": 24, **settings}
    store.save(f"rd-{settings['dataset']}-{name}", name=name, description="", suite="rd", results=results, settings=settings)


def save_task(store, name, agreement, settings):
    results = {"bpp": RATES.tolist(), "top1": [0.5] * 5, "top1-agreement": agreement}
    replicates = [
        {
            "bpp": [rate] * REPLICATES,
            "top1": [0.5] * REPLICATES,
            "top1-agreement": (np.linspace(-0.1, 0.1, REPLICATES) + value).tolist(),
        }
        for rate, value in zip(RATES, agreement)
    ]
    store.save(
        f"tasks-net-{name}", name=name, description="", suite="tasks", results=results, replicates=replicates, net="net",
        streams_sha256=["x"] * 5, settings={"dataset": "photos", "pictures": 3, **settings},
    )  # fmt: skip


def save_speed(store, name, seconds, settings, threads=1):
    names = ("encoding_time", "decoding_time", "encoding_cpu_time", "decoding_cpu_time")
    samples = {"bpp": [0.5] * 3, **{one: [seconds, seconds, 2 * seconds] for one in names}}
    settings = {"size": [768, 512], "threads": threads, "rounds": 3, "processor": "some processor", **settings}
    results = {one: [float(np.median(values))] for one, values in samples.items()}
    store.save(
        f"speed-{threads}t-{name}", name=name, description="", suite="speed", results=results, samples=samples, settings=settings
    )


def save_memory(store, name, peak, settings, sizes=((768, 512), (1920, 1080))):
    results = {
        f"{step}_{what}": [value] * len(sizes)
        for step in ("encoding", "decoding")
        for what, value in (("open", 1), ("peak", peak))
    }
    settings = {"sizes": [list(size) for size in sizes], **settings}
    store.save(f"memory-{name}", name=name, description="", suite="memory", results=results, settings=settings)


def save_coder(store, name, rate):
    results = {"bpp": [0.1, 0.3], "excess": [1.25, 0.5], "encode_rate": [rate] * 2, "decode_rate": [2 * rate] * 2}
    extra = {"scale_network_ms": [1.5] * 2, "hyper_bytes": [300] * 2, "hyper_decode_ms": [0.01] * 2}
    settings = {"dataset": "kodak", "pictures": 4, "processor": "p", "seconds": 0.5, "qualities": [15, 50], **OURS}
    store.save(
        f"coder-kodak-{name}", name=name, description="", suite="coder", results=results, settings=settings,
        ours=extra if name == "ugicm_coder" else {},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "results")
    save_rd(made, "ugicm", 0.5, OURS)
    save_rd(made, "avif", 1, {"codec": "AVIF"})
    save_task(made, "ugicm-human", [0.2, 0.3, 0.4, 0.5, 0.6], OURS)
    save_task(made, "ugicm-machine", [0.3, 0.4, 0.5, 0.6, 0.7], OURS)
    save_task(made, "avif", [0.1, 0.2, 0.3, 0.4, 0.5], {"codec": "AVIF"})
    save_speed(made, "ugicm", 0.1, OURS)
    save_speed(made, "avif", 0.4, {"codec": "AVIF"})
    save_speed(made, "ugicm", 0.1, OURS, threads=2)
    save_speed(made, "avif", 0.7, {"codec": "AVIF"}, threads=2)
    save_memory(made, "ugicm", 64, OURS)
    save_memory(made, "avif", 32, {"codec": "AVIF"}, sizes=((768, 512),))
    save_coder(made, "ugicm_coder", 500)
    save_coder(made, "constriction", 20)
    return made


def test_the_report_is_written_with_its_plots(store, tmp_path):
    report.write(store, tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert "-50.0 %" in text
    assert "fingerprint `0123456789abcdef`" in text
    assert "4.00x" in text
    assert "7.00x" in text
    assert re.search(r"AVIF +\| 32 \(1\) +\| not measured", text)
    assert re.search(r"15 +\| ugicm_coder \(ours\) +\| 0.100 +\| \+1.25 % +\| 500 +\| 1000", text)
    assert re.search(r"VTM \(published\) +\| [-+]\d", text)
    assert "blob/128f00397509b9882aaaeea49f43f1714da083b4/results/image/" in text
    images = {line.split("(")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert images == {str(file.relative_to(tmp_path)) for file in (tmp_path / "images").iterdir()}
    assert len(images) == 2 + 2 + 1 + 1


def test_two_bundles_in_one_section_are_pointed_out(store):
    save_task(store, "ugicm-machine", [0.3, 0.4, 0.5, 0.6, 0.7], {**OURS, "bundle_sha256": "bb"})
    text = "\n".join(report.sections(store, ("rd", "tasks")))
    assert text.count("These are different bundles") == 1


def test_times_of_two_runs_are_pointed_out(store):
    assert "not of one run" not in "\n".join(report.sections(store, ["speed"]))
    save_speed(store, "ugicm", 0.2, {**OURS, "rivals": ["ugicm"]})
    assert "not of one run" in "\n".join(report.sections(store, ["speed"]))


def test_an_effort_is_no_other_bundle():
    results = [
        {"name": name, "created": "2026-01-01", "settings": OURS | {"codec": codec}}
        for name, codec in (("ugicm", "UG-ICM tiny"), ("ugicm-effort8", "UG-ICM tiny, effort 8"))
    ]
    assert "different bundles" not in provenance(results)
    results[1]["settings"]["bundle_sha256"] = "bb"
    assert "different bundles" in provenance(results)


def test_a_plain_bundle_is_not_taken_for_ours(store):
    save_task(store, "plain", [0.1, 0.2, 0.3, 0.4, 0.5], {**OURS, "bundle_sha256": "bb"})
    text = "\n".join(report.sections(store, ("tasks",)))
    assert "different bundles" not in text
    assert "plain UG-ICM (no teacher) is UG-ICM tiny (fingerprint `0123456789abcdef`, bundle `bb`)" in text
    assert "against plain UG-ICM (no teacher)" in text


def test_views_between_stand_between(store):
    save_task(store, "ugicm-0.25", [0.1, 0.2, 0.3, 0.4, 0.5], OURS)
    names = [result["name"] for result in report_tasks.by_net(store.load("tasks"))["net"]]
    assert names == ["ugicm-human", "ugicm-0.25", "ugicm-machine", "avif"]


def test_the_views_are_compared_sample_by_sample(store):
    text = "\n".join(report.sections(store, ("tasks",)))
    # Both views went up and down together in every sample, so their difference is certain.
    assert "+0.100 [+0.100, +0.100]" in text
    assert "checked by hash" in text


def test_an_interval_needs_most_samples():
    assert report_tasks.interval(np.linspace(0, 1, 101)) == "[+0.025, +0.975]"
    assert report_tasks.interval([1.0, np.nan]) == "[–]"


def test_the_readme_gets_the_main_figures(store, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report_summary.BEGIN}\nold\n{report_summary.END}\nafter\n")
    save_rd(store, "avif", 4, {"codec": "AVIF", "dataset": "other"})  # only Kodak counts
    for _ in range(2):
        report_summary.write(store, readme)
        text = readme.read_text()
        assert text.startswith("before\n" + report_summary.BEGIN)
        assert text.endswith(report_summary.END + "\nafter\n")
        assert "old" not in text
        assert re.search(r"bits at equal PSNR.* \| +\| +\| -50\.0 % \|", text)
        assert re.search(r"bits at equal top-1 agreement, machine view, net +\| +\| +\| -\d+\.\d % \|", text)
        assert re.search(r"speed of decoding, 768x512, 1 thread +\| +\| +\| 4x ", text)


def test_the_readme_has_a_column_for_a_plain_model_that_took_part(store):
    assert "plain" not in "\n".join(report_summary.lines(store))
    save_task(store, "plain", [0.1, 0.2, 0.3, 0.4, 0.5], {**OURS, "bundle_sha256": "bb"})
    assert re.search(r"JPEG XL +\| plain UG-ICM \(no teacher\) +\|", "\n".join(report_summary.lines(store)))


def test_a_readme_without_a_place_for_figures_is_left_alone(store, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    with pytest.raises(BenchmarkError, match="no place for the results"):
        report_summary.write(store, readme)
    assert readme.read_text() == "nothing here\n"


def test_nothing_measured_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match=r"run `python -m benchmarks\.run` first"):
        report.write(Store(tmp_path), tmp_path / "results.md")


@pytest.mark.parametrize("module", ["benchmarks.run", "benchmarks.report"])
def test_help_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'matplotlib', 'onnxruntime', 'scipy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_missing_data_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--suite", "rd", "--codecs", "jpeg", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "there is no folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_effort_has_a_table_of_its_own(store, tmp_path):
    save_rd(store, "ugicm-effort8", 0.4, OURS)
    report.write(store, tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert text.count("BD-rate of UG-ICM (PCHIP") == 1
    (table,) = re.findall(r"BD-rate of UG-ICM, effort 8 \(PCHIP.*?\n\n(.*?)\n\n", text, re.DOTALL)
    assert re.search(r"UG-ICM +\| -20.0 %", table)
    assert re.search(r"AVIF +\| -60.0 %", table)
    rows = "\n".join(report_summary.lines(store))
    assert re.search(r"bits at equal PSNR, human view, Kodak, .* -50.0 %", rows)
    assert re.search(r"bits at equal PSNR, human view, effort 8, Kodak, .* -60.0 %", rows)
