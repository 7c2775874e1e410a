"""Steps without distillation, and steps that make no GPU wait."""

import contextlib
import copy
import os

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from mmtat.models.distillers.idle import is_idle

from .rivals import METHODS, batch, build, feature, method
from .toys import distillation

IMAGE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
EMBED = dict(type='mmtat.EmbeddingConnector')
L2 = dict(loss_l2=dict(type='L2Loss'), loss_at=dict(type='ATLoss'))
#: A loss of the config beside those of the distiller.
CONFIGURED = dict(
    distill_losses=dict(loss_more=dict(type='mmrazor.L2Loss')),
    loss_forward_mappings=dict(
        loss_more=dict(
            s_feature=dict(recorder='logits', from_student=True),
            t_feature=dict(recorder='logits', from_student=False),
        )
    ),
)
RECORDED = {
    f'{role}_recorders': dict(
        more=dict(type='ModuleOutputs', source='decode_head.conv_seg')
    )
    for role in ('student', 'teacher')
}
for ends in CONFIGURED['loss_forward_mappings'].values():
    for end in ends.values():
        end['recorder'] = 'more'


def tat(**kwargs):
    branches = dict(whole=dict(), anchor_point=dict(anchors=(2, 2)))
    return dict(
        type='mmtat.TaTDistiller',
        layers=['backbone.conv', 'backbone.norm'],
        branches=branches,
        **kwargs,
    )


DISTILLERS = dict(
    tat=tat(),
    tat_and_logits=tat(logits=dict()),
    tat_and_more=tat(logits=dict(), **CONFIGURED, **RECORDED),
    feature=feature(losses=L2, student_connector=EMBED),
    feature_and_logits=feature(
        losses=L2, student_connector=EMBED, logits=dict(type='DISTLoss')
    ),
    review=dict(
        type='mmtat.ReviewKDDistiller',
        layers=['backbone.conv', 'decode_head.conv_seg'],
    ),
    stock=dict(
        type='ConfigurableDistiller',
        connectors=dict(
            c=dict(type='ConvModuleConnector', in_channel=3, out_channel=3)
        ),
        distill_losses=dict(loss_more=dict(type='L2Loss')),
        loss_forward_mappings=dict(
            loss_more=dict(
                s_feature=dict(
                    recorder='more', from_student=True, connector='c'
                ),
                t_feature=dict(recorder='more', from_student=False),
            )
        ),
        **RECORDED,
    ),
)


def losses_of(model):
    """The modules whose weight a schedule may set."""
    return [
        module
        for module in model.distiller.modules()
        if hasattr(module, 'loss_weight')
    ]


def set_weights(model, weight):
    for loss in losses_of(model):
        loss.loss_weight = weight


def step(model):
    torch.manual_seed(3)
    model.zero_grad()
    losses = model(IMAGE, mode='loss')
    sum(losses.values()).backward()
    return losses


@pytest.mark.parametrize('weight', [0, 0.0])
@pytest.mark.parametrize('name', DISTILLERS)
def test_a_distillation_without_weight_runs_no_teacher(name, weight):
    model = build(DISTILLERS[name])
    before = step(model)
    calls = len(model.teacher.calls)
    set_weights(model, weight)
    # A first step without weight has the names as well.
    for each in (model, copy.deepcopy(model)):
        losses = step(each)
        assert sorted(losses) == sorted(before)
        assert len(model.teacher.calls) == calls
        for key, loss in losses.items():
            assert bool(loss == 0) is key.startswith('distill.')
            assert loss.dim() == 0 and loss.requires_grad
        for parameter in each.distiller.parameters():
            assert torch.equal(parameter.grad, torch.zeros_like(parameter))
    set_weights(model, 1.0)
    after = step(model)
    assert len(model.teacher.calls) == calls + 1
    assert any(after[key] != 0 for key in after if 'distill.' in key)


@pytest.mark.parametrize('name', DISTILLERS)
def test_the_student_learns_as_it_does_alone(name):
    model = build(DISTILLERS[name])
    set_weights(model, 0)
    student = copy.deepcopy(model.student)
    step(model)
    torch.manual_seed(3)
    sum(student(IMAGE, mode='loss').values()).backward()
    for mine, alone in zip(model.student.parameters(), student.parameters()):
        assert torch.equal(mine.grad, alone.grad)


@pytest.mark.parametrize('name', DISTILLERS)
def test_any_one_weight_is_enough_for_a_distillation(name):
    model = build(DISTILLERS[name])
    assert not is_idle(model.distiller)
    for loss in losses_of(model):
        if loss is model.distiller:
            # A factor of the others, that needs them.
            continue
        set_weights(model, 0.0)
        if hasattr(model.distiller, 'loss_weight'):
            model.distiller.loss_weight = 1.0
        assert is_idle(model.distiller)
        loss.loss_weight = 0.5
        assert not is_idle(model.distiller)


def test_a_factor_of_0_is_enough_to_be_without_its_losses():
    model = build(DISTILLERS['feature_and_logits'])
    model.distiller.loss_weight = 0.0
    assert is_idle(model.distiller)
    configured = feature(
        losses=L2, student_connector=EMBED, **CONFIGURED, **RECORDED
    )
    model = build(configured)
    model.distiller.loss_weight = 0.0
    assert not is_idle(model.distiller)
    model.distiller.distill_losses['loss_more'].loss_weight = 0.0
    assert is_idle(model.distiller)


class Unweighted(nn.Module):
    """A loss that has no weight to be 0."""

    def forward(self, s_feature, t_feature):
        return (s_feature - t_feature).square().mean()


MODELS.register_module(module=Unweighted, name='UnweightedLoss')


def test_a_loss_without_a_weight_always_counts():
    losses = dict(L2, loss_own=dict(type='mmengine.UnweightedLoss'))
    model = build(feature(losses=losses, student_connector=EMBED))
    for loss in losses_of(model)[1:]:
        loss.loss_weight = 0.0
    assert not is_idle(model.distiller)
    assert step(model)['distill.loss_own'] > 0


def test_no_tensor_is_read_for_its_value():
    model = build(DISTILLERS['stock'])
    set_weights(model, torch.zeros(()))
    assert not is_idle(model.distiller)


def test_an_idle_distillation_reads_no_teacher_file():
    model = build(DISTILLERS['tat'], teacher_ckpt='not/there.pth')
    set_weights(model, 0.0)
    assert step(model)['distill.loss_tat_0'] == 0


@pytest.mark.parametrize('name', DISTILLERS)
def test_a_stopped_distillation_is_an_idle_one(name):
    model = build(DISTILLERS[name])
    before = step(model)
    calls = len(model.teacher.calls)
    model.distillation_stopped = True
    losses = step(model)
    assert sorted(losses) == sorted(before)
    assert len(model.teacher.calls) == calls


def test_a_distiller_of_unknown_names_still_gets_gradients():
    model = build(DISTILLERS['tat'])
    del model.distiller.own_loss_names
    model.distillation_stopped = True
    losses = step(model)
    assert losses['distill.loss_stopped'] == 0
    assert all(p.grad is not None for p in model.distiller.parameters())


SCHEDULE = (1.0, 0.0, 0.0, 1.0)


def trained(wrap, images):
    """Parameters after four steps, of which two have no distillation."""
    torch.manual_seed(5)
    config = distillation(DISTILLERS['tat'], student=dict(norm='none'))
    model = MODELS.build(config)
    wrapped = wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for weight in SCHEDULE:
        set_weights(model, weight)
        optimizer.zero_grad()
        sum(wrapped(images, mode='loss').values()).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()], model.teacher.calls


def train_on_one_of_two(rank, folder):
    os.environ['GLOO_SOCKET_IFNAME'] = 'lo'
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    result = trained(
        lambda model: DistributedDataParallel(
            model, find_unused_parameters=False
        ),
        IMAGE[2 * rank : 2 * rank + 2],
    )
    torch.save(result, f'{folder}/{rank}.pth')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_do_not_notice_that_a_distillation_pauses(tmp_path):
    torch.multiprocessing.spawn(train_on_one_of_two, (tmp_path,), nprocs=2)
    one, calls = trained(lambda model: model, IMAGE)
    for rank in (0, 1):
        two, own_calls = torch.load(tmp_path / f'{rank}.pth')
        # The dry run's, and those of the steps with a weight.
        assert own_calls == calls == ['tensor'] * 3
        for mine, expected in zip(two, one):
            torch.testing.assert_close(mine, expected)


class NoWaiting(TorchDispatchMode):
    """Refuses what reads a value of a tensor, or looks how many there are."""

    REFUSED = ('aten._local_scalar_dense', 'aten.nonzero', 'aten.equal')

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).rsplit('.', 1)[0]
        is_masked = name == 'aten.index' and any(
            index is not None and index.dtype == torch.bool
            for index in args[1]
        )
        if name in self.REFUSED or is_masked:
            raise AssertionError(f'{func} makes a GPU wait')
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('weight', [1.0, 0.0])
@pytest.mark.parametrize('name', DISTILLERS)
def test_no_step_waits_for_a_value(name, weight, amp):
    model = build(DISTILLERS[name])
    model.load_teacher()
    set_weights(model, weight)
    for _ in range(2):
        with NoWaiting():
            with torch.autocast('cpu', torch.bfloat16, enabled=amp):
                losses = model(IMAGE, mode='loss')
            sum(losses.values()).backward()


#: Methods whose losses look at values: mmrazor's CRDLoss reads its constants
#: and DistanceWiseRKD picks pairs; DKD needs the samples that have a label.
WAITING = ('crd', 'dkd', 'rkd')


@pytest.mark.parametrize('name', METHODS)
def test_rivals_that_make_a_gpu_wait_are_known(name):
    model = build(method(name))
    model.load_teacher()
    waits = pytest.raises(AssertionError, match='makes a GPU wait')
    with waits if name in WAITING else contextlib.nullcontext(), NoWaiting():
        losses = model(IMAGE, batch(), mode='loss')
        sum(losses.values()).backward()


def test_waiting_is_noticed():
    for wait in (
        lambda x: x.item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
    ):
        with pytest.raises(AssertionError, match='wait'), NoWaiting():
            wait(torch.ones(1))
