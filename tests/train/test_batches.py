"""What a step sees: a function of seed, step and rank, drawn ahead by threads without changing it."""

import dataclasses

import pytest
import torch
from tiny_train import TRAIN

from ugicm_train.batches import BatchStream, draw_batch
from ugicm_train.data import CropSource
from ugicm_train.stages import STAGES


def same(a, b):
    """Whether two batches are the same."""
    tensors = all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("x", "level", "preference", "boxes"))
    return tensors and a.names == b.names


def test_batches_are_a_function_of_seed_step_and_rank(pictures):
    source = CropSource(pictures, smallest=64)
    other_source = CropSource(pictures, smallest=64)
    first = draw_batch(TRAIN, source, 3, rank=1, processes=2)
    draw_batch(TRAIN, source, 4, rank=1, processes=2)
    assert same(first, draw_batch(TRAIN, other_source, 3, rank=1, processes=2))
    others = [
        draw_batch(TRAIN, source, 4, rank=1, processes=2),
        draw_batch(TRAIN, source, 3, rank=0, processes=2),
        draw_batch(dataclasses.replace(TRAIN, seed=1), source, 3, rank=1, processes=2),
    ]
    assert not any(torch.equal(first.x, other.x) for other in others)


def test_batches_cover_levels_and_the_whole_preference_axis(pictures):
    source = CropSource(pictures, smallest=64)
    config = dataclasses.replace(TRAIN, batch=512)
    batch = draw_batch(config, source, 0)
    x, level, preference = batch.x, batch.level, batch.preference
    assert x.shape == (512, 3, 64, 64)
    assert x.dtype == torch.uint8
    assert (level.min(), level.max()) == (0, 63)
    assert (preference.min(), preference.max()) == (0, 1)
    assert (preference == 0).float().mean() == pytest.approx(STAGES[config.stage].human_share, abs=0.01)
    assert (preference == 1).float().mean() == pytest.approx(STAGES[config.stage].machine_share, abs=0.01)
    between = preference[(preference > 0) & (preference < 1)]
    assert between.mean() == pytest.approx(0.5, abs=0.1)


def test_batches_are_shared_equally_or_refused(pictures):
    source = CropSource(pictures, smallest=64)
    assert len(draw_batch(TRAIN, source, 0, processes=2).x) == 2
    with pytest.raises(ValueError, match="4 crops cannot be shared by 3"):
        draw_batch(TRAIN, source, 0, processes=3)


def test_every_batch_holds_its_share_of_both_ends(pictures):
    source = CropSource(pictures, smallest=64)
    config = dataclasses.replace(TRAIN, batch=10)
    for step in range(3):
        preference = draw_batch(config, source, step).preference
        assert (preference == 0).sum() == 4
        assert (preference == 1).sum() == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_drawn_ahead_are_those_of_their_step(pictures, workers):
    source = CropSource(pictures, smallest=64, cache_bytes=30_000)
    stream = BatchStream(TRAIN, source, rank=1, processes=2, workers=workers)
    other = CropSource(pictures, smallest=64)
    for step in (0, 1, 2, 5, 3, 4):
        assert same(stream.at(step), draw_batch(TRAIN, other, step, rank=1, processes=2))
    stream.close()


def test_what_a_thread_cannot_read_reaches_the_caller(tmp_path):
    (tmp_path / "a.png").write_text("no")
    stream = BatchStream(TRAIN, CropSource(tmp_path, smallest=64))
    with pytest.raises(ValueError, match="none of the 1 images"):
        stream.at(0)
    stream.close()


def test_threads_count_an_unusable_image_once(pictures):
    for number in range(20):
        (pictures / f"broken{number}.png").write_text("no")
    source = CropSource(pictures, smallest=64)
    stream = BatchStream(dataclasses.replace(TRAIN, steps=100, batch=32), source, workers=4)
    for step in range(20):
        stream.at(step)
    stream.close()
    assert source.unusable == sum(pixels is None for pixels in source.cache.values())


def test_parts_are_the_batch_in_order(pictures):
    batch = draw_batch(TRAIN, CropSource(pictures, smallest=64), 0)
    parts = list(batch.parts(2))
    assert [len(part.x) for part in parts] == [2, 2]
    assert torch.equal(torch.cat([part.x for part in parts]), batch.x)
    assert [name for part in parts for name in part.names] == batch.names
    ready = parts[0].to(torch.device("cpu")).x
    assert 0 <= ready.min() <= ready.max() <= 1
