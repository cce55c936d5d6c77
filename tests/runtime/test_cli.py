"""The command line, in process: what it writes, what it says, and the exit code it returns."""

import io
import os
import re
import sys

import numpy as np
import pytest
from cli_helpers import assert_one_sentence
from PIL import Image
from ugicm import __version__, files
from ugicm.cli import main


def test_encode_then_decode(run, codec, picture, picture_file, tmp_path):
    stream, result = tmp_path / "x.ugic", tmp_path / "x.png"
    assert run("encode", picture_file, stream) == (0, "", "")
    assert stream.read_bytes() == codec.encode(picture, 50)
    assert run("decode", stream, result) == (0, "", "")
    np.testing.assert_array_equal(np.asarray(Image.open(result)), codec.decode(stream.read_bytes()))


def test_quality(run, codec, picture, picture_file, tmp_path):
    for words, quality in ((["-q", "7"], 7), (["--quality", "99.5"], 99.5)):
        assert run("encode", *words, picture_file, tmp_path / "x.ugic")[0] == 0
        assert (tmp_path / "x.ugic").read_bytes() == codec.encode(picture, quality)


def test_views(run, codec, stream, streams, tmp_path):
    result = tmp_path / "x.ppm"
    for words, preference in ((["--view", "machine"], 1), (["--view", "human"], 0), (["--preference", "0.5"], 0.5)):
        assert run("decode", streams[0], result, *words)[0] == 0
        np.testing.assert_array_equal(np.asarray(Image.open(result)), codec.decode(stream, preference=preference))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["encode"],
        ["encode", "a"],
        ["encode", "a", "b", "-q", "101"],
        ["encode", "a", "b", "-q", "x"],
        ["decode", "a", "b", "--view", "robot"],
        ["decode", "a", "b", "--preference", "2"],
        ["decode", "a", "b", "--view", "human", "--preference", "0.5"],
        ["bench", "--runs", "0"],
    ],
)
def test_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(words)
    assert leaving.value.code == 2
    assert "usage: ugicm" in capsys.readouterr().err


def test_version_and_help(run):
    assert run("--version") == (0, f"ugicm {__version__}\n", "")
    for words in (["--help"], ["encode", "--help"], ["decode", "--help"], ["info", "--help"], ["bench", "--help"]):
        code, text, _ = run(*words)
        assert code == 0
        assert "usage: ugicm" in text


def test_missing_input(run, tmp_path):
    code, _, error = run("encode", tmp_path / "no.png", tmp_path / "x.ugic")
    assert code == 1
    assert_one_sentence(error, tmp_path / "no.png", "No such file")


@pytest.mark.parametrize("content", [b"", b"text", b"\x8bUGI\r\n\x1a\n\x01"])
def test_bad_stream_leaves_no_output(run, tmp_path, content):
    (tmp_path / "bad.ugic").write_bytes(content)
    code, _, error = run("decode", tmp_path / "bad.ugic", tmp_path / "x.png")
    assert code == 1
    assert_one_sentence(error, "bad.ugic")
    assert os.listdir(tmp_path) == ["bad.ugic"]


def test_failed_overwrite_keeps_the_old_file(run, tmp_path):
    (tmp_path / "bad.ugic").write_bytes(b"")
    (tmp_path / "x.png").write_bytes(b"old")
    assert run("decode", tmp_path / "bad.ugic", tmp_path / "x.png")[0] == 1
    assert (tmp_path / "x.png").read_bytes() == b"old"


def test_wrong_model(run, streams, other_bundle_path, tmp_path):
    code, _, error = run("decode", streams[0], tmp_path / "x.png", "--bundle", other_bundle_path)
    assert code == 1
    assert_one_sentence(error, "was made with model", "--bundle")


def test_too_large(run, picture_file, streams, tmp_path):
    for words in (["encode", picture_file, tmp_path / "x.ugic"], ["decode", streams[0], tmp_path / "x.png"]):
        code, _, error = run(*words, "--max-pixels", "1000")
        assert code == 1
        assert_one_sentence(error, "--max-pixels 24576")


def test_missing_bundle_and_provider(run, picture_file, tmp_path):
    code, _, error = run("encode", picture_file, tmp_path / "x.ugic", "--bundle", tmp_path / "none")
    assert code == 1
    assert_one_sentence(error, "no bundle at")
    code, _, error = run("encode", picture_file, tmp_path / "x.ugic", "--provider", "MoonExecutionProvider")
    assert code == 1
    assert_one_sentence(error, "MoonExecutionProvider", "CPUExecutionProvider")


def test_unknown_output_suffix(run, streams, tmp_path):
    code, _, error = run("decode", streams[0], tmp_path / "x.xyz")
    assert code == 1
    assert_one_sentence(error, ".png")


def test_same_file_is_refused(run, picture_file):
    before = picture_file.read_bytes()
    code, _, error = run("encode", picture_file, picture_file)
    assert code == 1
    assert_one_sentence(error, "same file")
    assert picture_file.read_bytes() == before


def test_notes_are_printed(run, tmp_path):
    Image.new("CMYK", (5, 5)).save(tmp_path / "print.tif")
    code, _, error = run("encode", tmp_path / "print.tif", tmp_path / "x.ugic")
    assert code == 0
    assert_one_sentence(error, "warning", "print.tif", "plain formula")


def test_several_inputs_to_a_folder(run, stream, streams, tmp_path):
    code, text, error = run("decode", *streams, tmp_path / "new" / "out")
    assert (code, text, error) == (0, "", "")
    assert sorted(os.listdir(tmp_path / "new" / "out")) == ["a.png", "b.png"]


def test_one_input_to_a_folder(run, streams, tmp_path):
    (tmp_path / "out").mkdir()
    assert run("decode", streams[0], tmp_path / "out")[0] == 0
    assert run("decode", streams[1], f"{tmp_path / 'made'}/")[0] == 0
    assert os.listdir(tmp_path / "out") + os.listdir(tmp_path / "made") == ["a.png", "b.png"]


def test_a_stream_takes_the_place_of_a_picture_only_if_forced(run, picture_file, tmp_path):
    """What the shell makes of `ugicm encode p*.png` where there are two."""
    other = tmp_path / "other.PNG"
    other.write_bytes(b"the other photo")
    code, _, error = run("encode", picture_file, other)
    assert code == 1
    assert_one_sentence(error, "other.PNG' exists", "--force")
    assert other.read_bytes() == b"the other photo"
    assert run("encode", picture_file, other, "--force") == (0, "", "")
    stream = tmp_path / "x.UGIC"
    for _ in range(2):
        assert run("encode", picture_file, stream) == (0, "", "")


def test_a_taken_name_in_a_folder_is_kept_unless_forced(run, streams, tmp_path):
    original = tmp_path / "a.png"
    original.write_bytes(b"the original")
    code, _, error = run("decode", *streams, tmp_path)
    assert code == 1
    assert "a.png' exists; give --force" in error
    assert original.read_bytes() == b"the original"
    assert (tmp_path / "b.png").exists()
    assert run("decode", *streams, tmp_path, "--force") == (0, "", "")
    assert original.read_bytes() != b"the original"


def test_a_folder_as_input(run, picture, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("one.png", "two.JPG", "three.webp"):
        Image.fromarray(picture).save(source / name)
    (source / "notes.txt").write_text("not a picture")
    assert run("encode", source, tmp_path / "out") == (0, "", "")
    assert sorted(os.listdir(tmp_path / "out")) == ["one.ugic", "three.ugic", "two.ugic"]
    assert run("decode", tmp_path / "out", tmp_path / "back")[0] == 0
    assert len(os.listdir(tmp_path / "back")) == 3
    (tmp_path / "empty").mkdir()
    code, _, error = run("encode", tmp_path / "empty", tmp_path / "out")
    assert code == 1
    assert_one_sentence(error, "no files")


def test_one_failure_does_not_stop_the_others(run, streams, tmp_path):
    (tmp_path / "bad.ugic").write_bytes(b"bad")
    code, _, error = run(
        "decode", streams[0], tmp_path / "bad.ugic", tmp_path / "no.ugic", streams[1], tmp_path / "out"
    )
    assert code == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png"]
    lines = error.splitlines()
    assert len(lines) == 3
    assert "bad.ugic: " in lines[0]
    assert "no.ugic: " in lines[1]
    assert lines[2] == "ugicm: 2 of 4 files failed"


def test_two_inputs_with_one_name(run, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "x.png")
    Image.fromarray(picture).save(tmp_path / "x.jpg")
    code, _, error = run("encode", tmp_path / "x.png", tmp_path / "x.jpg", tmp_path / "out")
    assert code == 1
    assert "already the output of" in error
    assert os.listdir(tmp_path / "out") == ["x.ugic"]


@pytest.mark.parametrize("output", ["-", "a.ugic"])
def test_several_inputs_need_a_folder(run, streams, tmp_path, output):
    code, _, error = run("decode", *streams, output if output == "-" else tmp_path / output)
    assert code == 1
    assert_one_sentence(error, "folder")
    assert run("decode", "-", streams[0], tmp_path / "out")[0] == 1


def test_progress_bar_only_on_a_terminal(run, streams, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert run("decode", *streams, tmp_path / "missing.ugic", tmp_path / "out")[0] == 1
    shown = screen.getvalue()
    assert "2/3 missing.ugic" in shown
    assert re.search(r"\r\x1b\[Kugicm: .*missing.ugic: cannot read", shown)


def test_no_binary_data_on_a_terminal(run, streams, monkeypatch):
    monkeypatch.setattr(files.sys.stdout, "isatty", lambda: True, raising=False)
    code, _, error = run("decode", streams[0], "-")
    assert code == 1
    assert_one_sentence(error, "terminal")


def test_interrupt_and_memory(run, streams, tmp_path, monkeypatch):
    for error, code in ((KeyboardInterrupt, 130), (MemoryError, 1)):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("ugicm.codec.Codec.decode_views", fail)
        result = run("decode", streams[0], tmp_path / "x.png")
        assert result[0] == code
        assert_one_sentence(result[2])
        assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("option", ["--threads", "--max-pixels"])
def test_numbers_beyond_reason(bundle_path, picture_file, tmp_path, capfd, option):
    words = ["encode", picture_file, tmp_path / "x.ugic", "--bundle", bundle_path, option, 10**12]
    assert main([str(word) for word in words]) == 1
    assert_one_sentence(capfd.readouterr().err, option.strip("-").replace("-", "_"), "expected 1..")


@pytest.mark.parametrize("kind", ["grey", "palette", "rgba", "16 bit", "cmyk", "animation"])
def test_every_kind_of_picture(run, picture, tmp_path, kind):
    """From file to stream and back: the right picture, or one sentence; what each kind becomes is in test_image.py."""
    rgb = Image.fromarray(picture)
    modes = {"grey": "L", "palette": "P", "rgba": "RGBA", "16 bit": "I;16", "cmyk": "CMYK", "animation": "RGB"}
    if kind == "16 bit":
        image = Image.fromarray(picture[..., 0].astype(np.uint16) * 257)
    else:
        image = rgb.quantize(256) if kind == "palette" else rgb.convert(modes[kind])
    assert image.mode == modes[kind]
    options = {"save_all": True, "append_images": [rgb.rotate(180)]} if kind == "animation" else {}
    image.save(tmp_path / "in.tif", **options)
    code, _, error = run("encode", tmp_path / "in.tif", tmp_path / "x.ugic", "-q", "100")
    if kind == "animation":
        assert code == 1
        assert_one_sentence(error, "several frames")
        return
    assert code == 0
    assert run("decode", tmp_path / "x.ugic", tmp_path / "x.png")[0] == 0
    expected = picture[..., :1].repeat(3, axis=2) if kind == "16 bit" else np.asarray(image.convert("RGB"))
    difference = np.asarray(Image.open(tmp_path / "x.png")).astype(int) - expected
    assert np.abs(difference).mean() < 12


def test_a_folder_that_cannot_be_listed(run, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ugicm.batch.os.listdir", refuse)
    code, _, error = run("encode", tmp_path, tmp_path / "out")
    assert code == 1
    assert_one_sentence(error, tmp_path, "Permission denied")
