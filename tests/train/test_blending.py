"""Mixtures of checkpoints: weights in between, the preference's own weights kept, histories told."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_train import NETWORK, tiny_codec

from ugicm_train.blending import blend, since_parting
from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.cli import main
from ugicm_train.model.codec import Codec


def moved(by: float) -> Codec:
    """The tiny codec with `by` more in every weight."""
    codec = tiny_codec()
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(by)
    return codec


@pytest.fixture
def pair() -> tuple[Codec, Codec]:
    return tiny_codec(), moved(1.0)


def test_weights_are_mixed_but_for_those_of_the_preference(pair):
    first, second = pair
    before = first.state_dict()
    found = blend(first, second, 0.25)
    changed = {name for name in found if not torch.equal(found[name], before[name])}
    assert changed
    assert all("preference" not in name for name in changed)
    for name in changed:
        torch.testing.assert_close(found[name], before[name] + 0.25)
    kept = {name for name, _ in first.named_parameters()} - changed
    assert kept
    assert all("preference" in name for name in kept)


def test_whole_mixes_what_the_preference_acts_through_too(pair, tmp_path):
    first, second = pair
    for name, value in blend(first, second, 0.25, whole=True).items():
        torch.testing.assert_close(value, first.state_dict()[name] + 0.25 * value.is_floating_point())
    for name, codec in (("a", first), ("b", second)):
        save_weights(tmp_path / name, NETWORK, codec.state_dict(), [])
    ends = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["blend", *ends, "--share", "1", "--whole", "--out", str(tmp_path / "c")]) == 0
    found, history = load_codec(tmp_path / "c")
    assert history == [{"stage": "blend", "share": 1.0, "other": [], "whole": True}]
    for name, value in second.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)


@pytest.mark.parametrize("shares", [[0.5, 0.2], [0.3, 0.7], [0.0, 1.0], [0.0, 0.0]])
def test_several_are_mixed_by_their_shares(pair, tmp_path, shares):
    first, second = pair
    third = moved(10.0)
    for name, codec in (("a", first), ("b", second), ("c", third)):
        save_weights(tmp_path / name, NETWORK, codec.state_dict(), [])
    folders = [str(tmp_path / name) for name in "abc"]
    assert main(["blend", *folders, "--whole", "--out", str(tmp_path / "d"), "--share", *map(str, shares)]) == 0
    found = load_codec(tmp_path / "d")[0].state_dict()
    for name, parameter in first.named_parameters():
        torch.testing.assert_close(found[name], parameter.data + shares[0] + 10 * shares[1])


def test_shares_that_do_not_fit_are_refused(pair, tmp_path, capsys):
    save_weights(tmp_path / "a", NETWORK, pair[0].state_dict(), [])
    same = [str(tmp_path / "a")] * 3
    for shares, words in ((["0.5"], "2 checkpoints beside the first need as many shares, got 1"), (["0.8", "0.4"], "in all, got 1.2")):
        assert main(["blend", *same, "--out", str(tmp_path / "b"), "--share", *shares]) == 1
        assert words in capsys.readouterr().err


def test_the_human_view_and_the_stream_of_either_end_come_back(pair):
    first, second = pair
    x, level, human = torch.rand(1, 3, 64, 64), torch.tensor([30]), torch.zeros(1)
    for share, end in ((0.0, first), (1.0, second)):
        mixed = Codec(first.config)
        mixed.load_state_dict(blend(first, second, share))
        mixed.eval()
        with torch.no_grad():
            torch.testing.assert_close(mixed(x, level, human).view, end.eval()(x, level, human).view)


def test_the_stages_since_the_histories_parted():
    common = [{"stage": "rate_distortion", "seed": 1}]
    assert since_parting([*common, {"stage": "semantic"}], [*common, {"stage": "a"}, {"stage": "b"}]) == [
        {"stage": "a"},
        {"stage": "b"},
    ]
    assert since_parting(common, common) == []


def test_the_command_tells_both_histories(pair, tmp_path):
    common = {"stage": "rate_distortion"}
    save_weights(tmp_path / "a", NETWORK, pair[0].state_dict(), [common, {"stage": "semantic", "teacher": "/there/net.pt"}])
    save_weights(tmp_path / "b", NETWORK, pair[1].state_dict(), [common, {"stage": "semantic", "teacher": "/here/net.pt"}])
    arguments = ["blend", str(tmp_path / "a"), str(tmp_path / "b"), "--share", "0.5", "--out", str(tmp_path / "c")]
    assert main(arguments) == 0
    _, history = load_codec(tmp_path / "c")
    assert history[-1] == {"stage": "blend", "share": 0.5, "other": [{"stage": "semantic", "teacher": "/here/net.pt"}]}
    assert main(["pack", str(tmp_path / "c"), "--out", str(tmp_path / "packed")]) == 0
    text = (tmp_path / "packed" / "config.json").read_text()
    assert json.loads(text)["history"][-1]["other"] == [{"stage": "semantic", "teacher": "net.pt"}]
    assert "here" not in text


def test_other_layouts_and_shares_beyond_1_are_refused(pair, tmp_path, capsys):
    wider = type(NETWORK)(**{**vars(NETWORK), "context": NETWORK.context + 8})
    with pytest.raises(ValueError, match="different layouts"):
        blend(pair[0], Codec(wider), 0.5)
    with pytest.raises(SystemExit):
        main(["blend", "a", "b", "--share", "1.5", "--out", str(tmp_path)])
    assert "not a number in 0..1" in capsys.readouterr().err


def test_what_a_training_brought_is_carried_over(pair, tmp_path, capsys):
    start, base = pair
    trained = moved(0.25)
    common, later = {"stage": "rate_distortion", "seed": 1}, {"stage": "semantic", "seed": 3}
    for name, codec, history in (
        ("start", start, [common]),
        ("trained", trained, [common, later]),
        ("base", base, [common, {"stage": "rate_distortion", "seed": 2}]),
    ):
        save_weights(tmp_path / name, NETWORK, codec.state_dict(), history)
    command = ["rebase", str(tmp_path / "trained"), "--start", str(tmp_path / "start"), "--out", str(tmp_path / "moved"), "--onto"]
    assert main([*command, str(tmp_path / "base")]) == 0
    found, history = load_codec(tmp_path / "moved")
    assert history == [common, {"stage": "rate_distortion", "seed": 2}, {"stage": "rebase", "other": [later]}]
    for name, parameter in base.named_parameters():
        torch.testing.assert_close(found.state_dict()[name], parameter.data + 0.25)
    wider = Codec(type(NETWORK)(**{**vars(NETWORK), "context": NETWORK.context + 8}))
    save_weights(tmp_path / "wide", wider.config, wider.state_dict(), [])
    assert main([*command, str(tmp_path / "wide")]) == 1
    assert "have different layouts" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "nowhere")]) == 1
    assert "is not a checkpoint" in capsys.readouterr().err
