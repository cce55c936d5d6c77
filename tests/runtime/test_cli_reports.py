"""`ugicm info` and `ugicm bench`, in process."""

import json

from cli_helpers import assert_one_sentence


def test_info_of_a_stream(run, codec, stream, streams):
    code, text, _ = run("info", streams[0], "--json")
    facts = json.loads(text)
    assert code == 0
    assert facts["kind"] == "stream"
    assert facts["fingerprint"] == codec.info["fingerprint"]
    assert (facts["width"], facts["height"], facts["level"], facts["bytes"]) == (133, 70, 31.5, len(stream))
    assert 40 + 8 * len(facts["band_bytes"]) + facts["z_bytes"] + sum(facts["band_bytes"]) == len(stream)
    lines = run("info", streams[0])[1].splitlines()
    assert [" ".join(line.split()) for line in lines if line.startswith(("width", "level", "quality"))] == [
        "width 133",
        "level 31.5",
        "quality 50",
    ]


def test_info_of_bundles(run, bundle_path, other_bundle_path, codec):
    default = json.loads(run("info", "--json")[1])
    assert default["kind"] == "bundle"
    assert default["fingerprint"] == codec.info["fingerprint"]
    for words in (["info", other_bundle_path], ["info", "--bundle", other_bundle_path]):
        assert json.loads(run(*words, "--json")[1])["fingerprint"] != default["fingerprint"]
    assert str(bundle_path) in run("info")[1]


def test_info_failures(run, tmp_path, stream):
    (tmp_path / "x").write_bytes(b"something else")
    (tmp_path / "cut.ugic").write_bytes(stream[:-1])
    for name, part in (("x", "nor is it a model bundle"), ("no", "No such file"), ("cut.ugic", "ends inside")):
        code, text, error = run("info", tmp_path / name)
        assert (code, text) == (1, "")
        assert_one_sentence(error, name, part)


def test_info_takes_one_thing(run, streams, bundle_path):
    code, _, error = run("info", streams[0], "--bundle", bundle_path)
    assert code == 2
    assert "not allowed with" in error


def test_bench_names_the_picture_it_cannot_read(run, tmp_path):
    for name, part in (("no.png", "No such file"), ("text.png", "not a picture")):
        (tmp_path / "text.png").write_text("text")
        code, _, error = run("bench", "--image", tmp_path / name)
        assert code == 1
        assert_one_sentence(error, name, part)


def test_bench(run, picture_file):
    code, text, _ = run("bench", "--image", picture_file, "--runs", "2", "--json")
    facts = json.loads(text)
    assert code == 0
    assert facts["threads"] == 1
    assert (facts["engine"], facts["variant"], facts["provider"]) == ("onnxruntime", "fp32", "CPUExecutionProvider")
    for side in ("encode_ms", "decode_ms"):
        assert set(facts[side]) == {"total", "engine", "scale_network", "entropy_coding", "other"}
        assert 0 < facts[side]["engine"] <= facts[side]["total"]
    code, text, _ = run("bench", "--runs", "1")
    assert code == 0
    assert "768x512" in text
