"""What task and distillation give the student where they meet."""

import copy
import json
import logging

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import MODELS
from mmengine.runner import turn_on_activation_checkpointing
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmtat.engine.hooks import DistillationBalanceHook
from mmtat.models.algorithms.gradient_look import GradientLook

from .running import toy_config, train
from .steps import IMAGES, build, config
from .test_idle_distillation import NoWaiting

NORMS = ('distill_gradient_norm', 'task_gradient_norm')
COMPARED = ('distill_gradient_ratio', 'distill_gradient_cosine')


@MODELS.register_module()
class OffsetSegmentor(BaseModel):
    """Adds a trained number to the images; its task wants 0 everywhere."""

    def __init__(self, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.body = nn.Conv2d(3, 3, 1, groups=3)
        nn.init.ones_(self.body.weight)
        nn.init.constant_(self.body.bias, offset)
        self.head = nn.Identity()

    def init_weights(self):
        """Stay as built."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.head(self.body(inputs))
        if mode == 'loss':
            return dict(loss_task=features.square().mean(), acc=features.max())
        return features


@MODELS.register_module()
class SquareLoss(nn.Module):
    """Mean of the squares, with a weight."""

    def __init__(self, loss_weight=1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, s_feature, t_feature):
        return self.loss_weight * (s_feature - t_feature).square().mean()


def offset_model(weight=1.0, offset=-3.0, **kwargs):
    """Its teacher is ``offset`` away from the student, which is at 0."""
    return dict(
        type='mmtat.FrozenTeacherDistill',
        architecture=dict(type='OffsetSegmentor'),
        teacher=dict(type='OffsetSegmentor', offset=offset),
        distiller=dict(
            type='mmtat.FeatureDistiller',
            layers=['body'],
            losses=dict(
                loss_square=dict(
                    type='mmengine.SquareLoss', loss_weight=weight
                )
            ),
            input_size=(8, 8),
        ),
        **kwargs,
    )


def looked(model, images=IMAGES, scale=1.0):
    """Norms and cosine in one step."""
    model.gradient_look = look = GradientLook()
    losses = model(images, mode='loss')
    total, _ = model.parse_losses(losses)
    (scale * total).backward()
    model.gradient_look = None
    norms = look.norms()
    look.close()
    return norms


def separately(model, layers, images=IMAGES):
    """The same from a backward of each part alone."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    found = []
    for layer in layers:
        model.student.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output: found.append(output)
        )
    losses = model(images, mode='loss')
    gradients = {}
    for part in ('distill', 'student'):
        total = sum(v for k, v in losses.items() if k.startswith(part))
        own = torch.autograd.grad(total, found, retain_graph=True)
        gradients[part] = torch.cat([gradient.flatten() for gradient in own])
    distillation, task = gradients['distill'], gradients['student']
    cosine = torch.cosine_similarity(distillation, task, dim=0)
    return torch.stack([distillation.norm(), task.norm(), cosine])


def step_model(stream, layers, logits=False, dtype=torch.float64):
    settings = config(stream, layer=layers[0])
    settings['distiller']['layers'] = layers
    if logits:
        ends = dict(student='head.1', teacher='head.1')
        settings['distiller']['logits'] = dict(loss_weight=7.0, **ends)
    torch.manual_seed(0)
    return MODELS.build(settings).to(dtype)


def test_gradients_by_hand():
    model = MODELS.build(offset_model(weight=2.0, offset=-3.0))
    # n numbers x: the task gives each 2 x / n, the distillation, which
    # wants x - 3, 2 * 2 * 3 / n.
    n = IMAGES.numel()
    task = 2 * IMAGES.norm() / n
    cosine = IMAGES.sum() / IMAGES.norm() / n**0.5
    expected = torch.stack([torch.tensor(12 / n**0.5), task, cosine])
    torch.testing.assert_close(looked(model), expected)


LAYERS = {
    'in front of an in-place activation': ['body.0'],
    'the activation': ['body.1'],
    'the last of the body': ['body.2'],
    'one behind the other': ['body.0', 'body.2'],
    'three in a row': ['stem', 'body.0', 'body.2'],
    'the same twice': ['body.0', 'body.0'],
}


@pytest.mark.parametrize('logits', [False, True])
@pytest.mark.parametrize('stream', [False, True])
@pytest.mark.parametrize('name', LAYERS)
def test_gradients_are_those_of_each_part_alone(name, stream, logits):
    layers = LAYERS[name]
    model = step_model(stream, layers, logits)
    recorded = [*dict.fromkeys(layers), *(['head.1'] if logits else [])]
    expected = separately(model, recorded, IMAGES.double())
    assert expected[:2].gt(0).all()
    torch.testing.assert_close(looked(model, IMAGES.double()), expected)


@pytest.mark.parametrize('stream', [False, True])
@pytest.mark.parametrize('part', ['stem', 'body', 'body.0', 'head'])
@pytest.mark.parametrize('layers', [['body.0'], ['body.0', 'body.2']])
def test_gradients_of_a_checkpointed_student(layers, part, stream):
    model = step_model(stream, layers)
    expected = separately(model, layers, IMAGES.double())
    module = model.student.get_submodule(part)
    forward = module.forward
    module.forward = lambda x: checkpoint(forward, x, use_reentrant=False)
    torch.testing.assert_close(looked(model, IMAGES.double()), expected)


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
def test_a_reentrant_checkpoint_between_layers_leaves_the_last_ones():
    model = step_model(False, ['stem', 'body.2'])
    expected = separately(model, ['body.2'], IMAGES.double())
    turn_on_activation_checkpointing(model, 'architecture.body')
    torch.testing.assert_close(looked(model, IMAGES.double()), expected)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('layers', LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize('stream', [False, True])
def test_the_step_stays_what_it_is_bit_by_bit(layers, stream):
    gradients = []
    for is_watched in (False, True):
        model = step_model(stream, layers, True, torch.float32)
        if is_watched:
            looked(model)
        else:
            total, _ = model.parse_losses(model(IMAGES, mode='loss'))
            total.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.equal(gradient, gradients[1][name]), name


def test_the_graph_of_the_step_is_gone_afterwards():
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        model = step_model(False, ['body.0', 'body.2'])
        outputs = []
        model.student.body[2].register_forward_hook(
            lambda *args: outputs.append(weakref.ref(args[2]))
        )
        looked(model, IMAGES.double())
        # A step that fails before its end leaves nothing, either.
        model.gradient_look = GradientLook()
        model(IMAGES.double(), mode='loss')
        model.gradient_look = None
        assert len(outputs) == 2
        assert all(output() is None for output in outputs)
    finally:
        gc.enable()


@pytest.mark.parametrize('layers', LAYERS.values(), ids=LAYERS)
def test_no_look_waits_for_a_value(layers):
    model = step_model(False, layers, True)
    model.load_teacher()
    model.gradient_look = look = GradientLook()
    with NoWaiting():
        total, _ = model.parse_losses(model(IMAGES.double(), mode='loss'))
        total.backward()
        norms = look.norms()
    assert norms.shape == (3,) and norms.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize('what', ['student', 'train_step'])
@pytest.mark.parametrize(
    'layers', [['body.0'], ['body.2'], ['body.0', 'body.2']]
)
def test_gradients_of_what_is_compiled(layers, what):
    torch.compiler.reset()
    model = step_model(True, layers)
    expected = separately(model, layers, IMAGES.double())
    if what == 'student':
        model.student.compile(backend='aot_eager')
    else:
        model.train_step = torch.compile(model.train_step, backend='aot_eager')
    # Without a step that changes anything.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    wrapper = OptimWrapper(optimizer=optimizer)
    for is_watched in (False, True, False, True):
        look = GradientLook() if is_watched else None
        model.gradient_look = look
        model.train_step(dict(inputs=IMAGES.double()), wrapper)
        norms = look.norms() if is_watched else None
        # Layers inside of one compiled part may stay unknown.
        if norms is not None or (is_watched and what == 'train_step'):
            torch.testing.assert_close(norms, expected)


@pytest.mark.parametrize('scale', [1024.0, 0.25])
def test_scaled_losses_have_the_gradients_of_unscaled_ones(scale):
    model = step_model(True, ['body.0'])
    images = IMAGES.double()
    expected = looked(copy.deepcopy(model), images)
    torch.testing.assert_close(looked(model, images, scale), expected)


@pytest.mark.parametrize('stream', [False, True])
@pytest.mark.parametrize('kind', [OptimWrapper, AmpOptimWrapper])
def test_accumulation_and_mixed_precision(kind, stream):
    model = step_model(stream, ['body.0'], dtype=torch.float32)
    expected = separately(model, ['body.0'])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = kind(optimizer=optimizer, accumulative_counts=4)
    model.gradient_look = look = GradientLook()
    model.train_step(dict(inputs=IMAGES), wrapper)
    tolerance = 1e-4 if kind is OptimWrapper else 2e-2
    torch.testing.assert_close(
        look.norms(), expected, rtol=tolerance, atol=tolerance
    )


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('layers', [['body.0'], ['body.0', 'body.2']])
def test_gradients_on_a_gpu_in_mixed_precision(layers, dtype):
    model = step_model(False, layers, dtype=torch.float32).cuda()
    images = IMAGES.cuda()
    expected = separately(model, layers, images)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    wrapper = AmpOptimWrapper(optimizer=optimizer, dtype=dtype)
    model.gradient_look = look = GradientLook()
    model.train_step(dict(inputs=images), wrapper)
    torch.testing.assert_close(look.norms(), expected, rtol=3e-2, atol=3e-2)


def test_an_overflow_of_float16_is_seen():
    model = step_model(False, ['body.0'], dtype=torch.float32)
    norms = looked(model, scale=float('inf'))
    assert not norms.isfinite().all()


def test_no_distillation_has_no_gradient():
    model = build(False)
    model.distillation_stopped = True
    assert looked(model, IMAGES.double()) is None


# In runs of the Runner.


def lines_of(folder):
    log = next(folder.glob('*/vis_data/scalars.json')).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if 'loss' in line]


def run(folder, model, **overrides):
    folder.mkdir(parents=True)
    settings = toy_config(folder, model, **overrides)
    loader = settings['train_dataloader']
    loader['batch_size'] = 4
    if settings['train_cfg']['type'] == 'IterBasedTrainLoop':
        # Else mmengine waits two seconds whenever the data begins anew.
        loader['sampler']['type'] = 'InfiniteSampler'
    return train(settings), lines_of(folder)


def test_the_log_shows_losses_and_gradients_beside_the_task(tmp_path):
    _, lines = run(tmp_path / 'run', offset_model(weight=2.0), max_iters=3)
    assert [line['step'] for line in lines] == [1, 2, 3]
    for line in lines:
        assert line['distill.square_to_task'] > 0
        assert line['distill_gradient_ratio'] == pytest.approx(
            line['distill_gradient_norm'] / line['task_gradient_norm'],
            rel=1e-3,
        )
        assert -1 <= line['distill_gradient_cosine'] <= 1
    first = lines[0]
    n = 4 * 3 * 8 * 8
    assert first['distill_gradient_norm'] == pytest.approx(12 / n**0.5, 1e-3)
    # 2 * 3 ** 2 over the mean square of the images.
    ratio = first['distill.loss_square'] / first['student.loss_task']
    assert first['distill.square_to_task'] == pytest.approx(ratio, rel=1e-3)
    assert first['loss'] == pytest.approx(
        first['distill.loss_square'] + first['student.loss_task'], rel=1e-3
    )


def test_only_iterations_that_are_logged_are_watched(tmp_path, monkeypatch):
    watched = []
    watch = GradientLook.watch
    monkeypatch.setattr(
        GradientLook,
        'watch',
        lambda self, *args: (watched.append(1), watch(self, *args)),
    )
    hooks = dict(logger=dict(type='LoggerHook', interval=3))
    _, lines = run(
        tmp_path / 'iterations',
        offset_model(),
        max_iters=7,
        default_hooks=hooks,
    )
    # Two batches of four images are an epoch, whose end is logged, too.
    assert [line['step'] for line in lines] == [2, 3, 6] and len(watched) == 3
    assert all(NORMS[0] in line for line in lines)
    watched.clear()
    _, lines = run(
        tmp_path / 'epochs',
        offset_model(),
        default_hooks=hooks,
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3),
        log_processor=dict(by_epoch=True),
    )
    assert [line['step'] for line in lines] == [2, 4, 6] and len(watched) == 3
    assert all(NORMS[0] in line for line in lines)


def test_without_a_logger_nothing_is_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(GradientLook, 'watch', None)
    settings = toy_config(tmp_path, offset_model(), max_iters=2)
    settings['default_hooks']['logger'] = None
    assert train(settings).iter == 2


@pytest.mark.parametrize(
    'off',
    [
        dict(gradient_balance=False),
        dict(hook=dict(type='mmtat.DistillationBalanceHook', gradients=False)),
    ],
    ids=['argument', 'hook'],
)
def test_it_can_be_turned_off_and_the_training_is_the_same(tmp_path, off):
    off = dict(off)
    hooks = [off.pop('hook')] if 'hook' in off else []
    model = step_config()
    one, lines = run(tmp_path / 'with', model)
    assert all(name in line for line in lines for name in NORMS + COMPARED)
    other, lines = run(
        tmp_path / 'without', dict(step_config(), **off), custom_hooks=hooks
    )
    assert not any('gradient' in name for line in lines for name in line)
    assert all('distill.tat_anchor_point_to_task' in line for line in lines)
    assert len(one.hooks) == len(other.hooks)
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def step_config():
    model = config(True)
    model['distiller']['input_size'] = (8, 8)
    return model


def test_a_monitor_keeps_its_names(tmp_path):
    hook = dict(type='mmtat.DistillationMonitorHook', interval=2)
    model = dict(
        type='mmtat.FrozenTeacherDistill',
        architecture=dict(type='ToySegmentor', width=4),
        teacher=dict(type='ToySegmentor', width=8),
        distiller=dict(type='mmtat.TaTDistiller', layers=['backbone.conv']),
    )
    _, lines = run(tmp_path / 'run', model, custom_hooks=[hook])
    assert all(name in line for line in lines for name in NORMS)
    ratios = [line.get('distill_gradient_ratio') for line in lines]
    assert ratios[0] is None and ratios[1] == ratios[2] != ratios[3]


def warnings_of(caplog):
    return [
        record.message
        for record in caplog.records
        if 'What would balance them' in record.message
    ]


@pytest.fixture
def heard(caplog, monkeypatch):
    """mmengine's loggers do not propagate."""
    from mmtat.engine.hooks import distillation_balance_hook as module

    monkeypatch.setattr(
        module,
        'print_log',
        lambda message, logger, level: logging.getLogger().log(level, message),
    )
    return caplog


@pytest.mark.parametrize('weight', [1e4, 1e-4])
def test_one_warning_names_the_weight_that_would_balance(
    tmp_path, heard, weight
):
    # No step, so that all looks see the same.
    still = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    model = offset_model(weight)
    _, lines = run(tmp_path / 'run', model, max_iters=7, **still)
    (message,) = warnings_of(heard)
    assert 'median of 5 looks' in message and '(body;' in message
    # A FeatureDistiller has one factor for all of its losses.
    key, _, rest = message.rpartition('=')
    assert key.endswith('model.distiller.loss_weight')
    factor = float(rest.split()[0])
    model['distiller']['loss_weight'] = factor
    _, lines = run(tmp_path / 'balanced', model, max_iters=6, **still)
    assert lines[0]['distill_gradient_ratio'] == pytest.approx(1, rel=0.3)
    assert len(warnings_of(heard)) == 1


def test_one_odd_batch_does_not_decide(heard):
    hook = DistillationBalanceHook()
    hook._ratios = [1.0, 1000.0, 2.0, 1e-3, 3.0]
    hook._judge(None)
    assert not warnings_of(heard)


def test_a_schedule_that_holds_a_weight_down_is_no_imbalance(tmp_path, heard):
    ranges = [dict(type='constant', value=1e-5)]
    hook = dict(
        type='mmtat.DistillWeightHook', schedules=dict(loss_square=ranges)
    )
    _, lines = run(
        tmp_path / 'run', offset_model(), max_iters=6, custom_hooks=[hook]
    )
    assert lines[-1]['distill_gradient_ratio'] < 1e-3
    assert not warnings_of(heard)


def test_the_weights_of_tat_are_named_by_their_keys(tmp_path, heard):
    model = step_config()
    branches = model['distiller']['branches']
    branches['patch_group']['loss_weight'] = 5e4
    branches['anchor_point']['loss_weight'] = 1e5
    run(tmp_path / 'run', model, max_iters=2)
    (message,) = warnings_of(heard)
    for branch in branches:
        assert f'model.distiller.branches.{branch}.loss_weight=' in message
    assert 'median of 2 looks' in message


@pytest.mark.parametrize('value', [1, None, 'no'])
def test_what_is_no_bool_is_refused(value):
    with pytest.raises(TypeError, match='gradients must be a bool'):
        DistillationBalanceHook(value)
    with pytest.raises(TypeError, match='gradient_balance must be a bool'):
        MODELS.build(offset_model(gradient_balance=value))
