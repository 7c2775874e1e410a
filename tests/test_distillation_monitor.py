"""Looking at a distillation shows its gradients and leaves it as it was."""

import json
import math
import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmtat.ops import attention_entropy

from .running import toy_config, train
from .toys import distillation, save_teacher

NAMES = (
    'attention_entropy',
    'distill_gradient_cosine',
    'distill_gradient_ratio',
)


@HOOKS.register_module()
class DrawingPreprocessorHook(Hook):
    """Lets each forward draw, as augmentations of batches do."""

    def before_run(self, runner):
        def draw(module, inputs):
            random.random()
            np.random.rand()

        runner.model.data_preprocessor.register_forward_pre_hook(draw)


def config(folder, weight=1.0, **kwargs):
    folder.mkdir(parents=True, exist_ok=True)
    save_teacher(folder / 'teacher.pth')
    model = distillation(
        dict(
            type='mmtat.TaTDistiller',
            layers=['backbone.conv'],
            branches=dict(whole=dict(loss_weight=weight)),
        ),
        teacher_ckpt=str(folder / 'teacher.pth'),
    )
    return toy_config(folder, model, **kwargs)


def monitored(folder, weight=1.0, interval=2, **kwargs):
    hook = dict(type='mmtat.DistillationMonitorHook', interval=interval)
    runner = train(config(folder, weight, custom_hooks=[hook], **kwargs))
    lines = next(folder.glob('*/vis_data/scalars.json')).read_text()
    logged = [json.loads(line) for line in lines.splitlines()]
    return runner, [line for line in logged if NAMES[0] in line]


def test_the_log_shows_gradients_and_attention(tmp_path):
    _, lines = monitored(tmp_path / 'one')
    assert [line['step'] for line in lines] == [2, 3, 4]
    for line in lines:
        assert 0 <= line['attention_entropy'] <= 1
        assert -1 <= line['distill_gradient_cosine'] <= 1
        assert line['distill_gradient_ratio'] > 0
    # A look serves the iterations until the next.
    assert lines[0]['attention_entropy'] == lines[1]['attention_entropy']
    assert lines[1]['attention_entropy'] != lines[2]['attention_entropy']


def test_the_ratio_is_that_of_the_weights(tmp_path):
    _, one = monitored(tmp_path / 'one', 1.0, interval=1, max_iters=2)
    _, three = monitored(tmp_path / 'three', 3.0, interval=1, max_iters=2)
    for name, factor in zip(NAMES, (1, 1, 3)):
        expected = pytest.approx(factor * one[0][name], rel=1e-3)
        assert three[0][name] == expected


def test_the_training_goes_on_as_without_it(tmp_path):
    """With dropout and batch norm, which a further forward would change."""
    with_hook, _ = monitored(tmp_path / 'with')
    without = train(config(tmp_path / 'without'))
    one, other = with_hook.model.state_dict(), without.model.state_dict()
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_augmentations_draw_what_they_would_without_it(tmp_path):
    def draws(folder, hooks):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        train(config(tmp_path / folder, custom_hooks=hooks))
        return random.random(), np.random.rand()

    hook = dict(type='mmtat.DistillationMonitorHook', interval=1)
    noisy = dict(type='DrawingPreprocessorHook')
    assert draws('with', [noisy, hook]) == draws('without', [noisy])


def test_a_stopped_distillation_is_not_looked_at(tmp_path):
    stop = dict(type='mmrazor.StopDistillHook', stop_epoch=0)
    settings = config(tmp_path / 'stopped', max_iters=2)
    settings['custom_hooks'] = [
        stop,
        dict(type='mmtat.DistillationMonitorHook', interval=1),
    ]
    runner = train(settings)
    runner.model.distillation_stopped = True
    assert runner.iter == 2


@pytest.mark.parametrize('interval', [0, -1, 2.5, None])
def test_an_interval_that_is_no_number_of_iterations_is_refused(interval):
    from mmtat.engine.hooks import DistillationMonitorHook

    with pytest.raises(ValueError, match='interval must be a positive int'):
        DistillationMonitorHook(interval)


def test_the_entropy_is_that_of_the_naive_formula():
    query, key = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    rows = []
    for image in range(2):
        for i in range(20):
            logits = [
                float(
                    query[image, :, i // 5, i % 5]
                    @ key[image, :, j // 5, j % 5]
                )
                for j in range(20)
            ]
            total = sum(map(math.exp, logits))
            weights = [math.exp(logit) / total for logit in logits]
            rows.append(-sum(w * math.log(w) for w in weights))
    expected = sum(rows) / len(rows) / math.log(20)
    assert attention_entropy(query, key).item() == pytest.approx(expected)


def test_equal_weights_have_the_entropy_1_and_a_single_one_0():
    key = torch.randn(1, 3, 4, 4)
    assert attention_entropy(torch.zeros(1, 3, 2, 2), key) == pytest.approx(1)
    assert attention_entropy(key * 1e6, key) == pytest.approx(0, abs=1e-6)


def test_one_position_has_no_entropy():
    with pytest.raises(ValueError, match='key must have more than one'):
        attention_entropy(torch.rand(1, 2, 3, 3), torch.rand(1, 2, 1, 1))
