"""The algorithm: what the teacher does, and all that it must not do."""

import copy

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtat.models import FrozenTeacherDistill

from .toys import ToySegmentor, distillation, save_teacher


def build(*args, **kwargs):
    return MODELS.build(distillation(*args, **kwargs))


def step(model, image=None):
    image = torch.rand(2, 3, 8, 8) if image is None else image
    losses = model(image, mode='loss')
    sum(losses.values()).backward()
    return losses


def recording(source, kind='ModuleOutputs', loss='L2Loss'):
    """A stock distiller that compares one recorded layer."""
    recorders = dict(f=dict(type=kind, source=source))
    inputs = kind == 'ModuleInputs'
    return dict(
        type='ConfigurableDistiller',
        student_recorders=recorders,
        teacher_recorders=recorders,
        distill_losses=dict(loss_f=dict(type=loss)),
        loss_forward_mappings=dict(
            loss_f=dict(
                s_feature=dict(
                    recorder='f',
                    from_student=True,
                    **(dict(data_idx=0) if inputs else {}),
                ),
                t_feature=dict(
                    recorder='f',
                    from_student=False,
                    **(dict(data_idx=0) if inputs else {}),
                ),
            )
        ),
    )


def test_the_teacher_is_in_eval_mode_whatever_the_student_is():
    model = build()
    for training in (True, False):
        model.train(training)
        assert not any(m.training for m in model.teacher.modules())
        assert model.student.training is training


@pytest.mark.parametrize('spoiled', [False, True])
def test_the_teacher_sees_running_statistics(tmp_path, spoiled):
    save_teacher(tmp_path / 't.pth')
    model = build(
        recording('backbone'),
        student=dict(width=8),
        teacher_ckpt=str(tmp_path / 't.pth'),
    )
    model.load_teacher()
    if spoiled:
        model.teacher.train()
    image = torch.rand(2, 3, 8, 8)
    loss = step(model, image)['distill.loss_f']
    in_eval = model.teacher.eval().backbone(image)
    student = model.student.backbone(image)
    in_train = model.teacher.train().backbone(image)
    compare = model.distiller.distill_losses['loss_f']
    torch.testing.assert_close(loss, compare(student, in_eval))
    assert abs(compare(student, in_train) - loss) > 0.01 * loss


def test_the_teacher_is_bit_identical_after_training(tmp_path):
    save_teacher(tmp_path / 't.pth')
    model = build(teacher_ckpt=str(tmp_path / 't.pth'))
    model.init_weights()
    before = copy.deepcopy(model.teacher.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        step(model)
        optimizer.step()
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_teacher_is_nowhere_in_the_module_tree():
    model = build()
    teacher = {id(p) for p in model.teacher.parameters()}
    assert not teacher & {id(p) for p in model.parameters()}
    assert not any('teacher' in name for name, _ in model.named_modules())
    assert not any('teacher' in name for name in model.state_dict())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert copy.deepcopy(model).teacher is model.teacher


def test_the_teacher_builds_no_graph_and_ends_after_the_recorded_layer():
    model = build()
    seen = []
    for name, module in model.teacher.named_modules():
        module.register_forward_hook(
            lambda m, i, o, name=name: seen.append((name, o.requires_grad))
        )
    step(model)
    assert seen == [('backbone.conv', False)]
    assert model.teacher.calls[-1] == 'tensor'


def test_a_layer_that_runs_twice_is_recorded_twice():
    class Twice(ToySegmentor):
        def extract_feat(self, inputs):
            return self.backbone(inputs) + self.backbone(inputs.flip(3))

    distiller = recording('backbone')
    mappings = distiller['loss_forward_mappings']['loss_f']
    for mapping in mappings.values():
        mapping['record_idx'] = 1
    model = FrozenTeacherDistill(
        architecture=Twice(width=8),
        teacher=Twice(width=8),
        distiller=distiller,
    )
    assert step(model)['distill.loss_f'] > 0


def test_an_auxiliary_head_of_the_teacher_can_be_recorded():
    model = build(recording('auxiliary_head'), teacher=dict(width=4))
    seen = []
    model.teacher.decode_head.register_forward_hook(
        lambda *args: seen.append('decode_head')
    )
    assert step(model)['distill.loss_f'] > 0
    assert seen == []


@pytest.mark.parametrize('kind', ['ModuleOutputs', 'ModuleInputs'])
def test_a_record_before_an_in_place_relu_stays_before_it(kind):
    source = 'backbone.norm' if kind == 'ModuleOutputs' else 'backbone.relu'
    model = build(recording(source, kind), student=dict(width=8))
    assert model.student.backbone.relu.inplace
    image = torch.rand(2, 3, 8, 8)
    recorded = {}
    compute = model.distiller.compute_distill_losses

    def keep():
        for role in ('student', 'teacher'):
            manager = getattr(model.distiller, f'{role}_recorders')
            value = manager.get_recorder('f').get_record_data()
            recorded[role] = value if kind == 'ModuleOutputs' else value[0]
        return compute()

    model.distiller.compute_distill_losses = keep
    step(model, image)
    backbone = model.teacher.backbone
    expected = backbone.norm(backbone.conv(image))
    torch.testing.assert_close(recorded['teacher'], expected)
    assert recorded['student'].min() < 0
    assert model.student.backbone.conv.weight.grad.abs().sum() > 0


def test_recorders_follow_sync_bn_that_becomes_bn():
    model = build(
        recording('backbone.norm'), student=dict(width=8, norm='SyncBN')
    )
    model = revert_sync_batchnorm(model)
    assert not isinstance(model.student.backbone.norm, nn.SyncBatchNorm)
    assert step(model)['distill.loss_f'] > 0


def test_nothing_of_a_step_is_kept_and_a_copy_can_train():
    model = build()
    step(model)
    for manager in (
        model.distiller.student_recorders,
        model.distiller.teacher_recorders,
    ):
        assert manager.get_recorder('layer_0').data_buffer == []
    image = torch.rand(2, 3, 8, 8)
    copied = copy.deepcopy(model)
    torch.manual_seed(3)
    expected = step(model, image)
    torch.manual_seed(3)
    losses = step(copied, image)
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss)


def test_nothing_is_kept_when_a_step_fails():
    model = build()
    with pytest.raises(RuntimeError):
        model(torch.rand(2, 4, 8, 8), mode='loss')
    recorder = model.distiller.student_recorders.get_recorder('layer_0')
    assert recorder.data_buffer == [] and not recorder.recording


def test_recorders_of_functions_and_deliveries_get_the_whole_loss():
    distiller = recording('backbone')
    distiller['distill_deliveries'] = dict(
        rand=dict(
            type='FunctionOutputs',
            func_path='tests.toys.noise',
            max_keep_data=1,
        )
    )
    model = build(
        distiller,
        student=dict(type='NoisySegmentor', width=8),
        teacher=dict(type='NoisySegmentor', width=8),
    )
    step(model)
    assert model.teacher.calls[-1] == 'loss'
    assert torch.equal(model.teacher.last_noise, model.student.last_noise)


def test_a_function_recorder_works():
    distiller = recording('backbone')
    for role in ('student', 'teacher'):
        distiller[f'{role}_recorders'] = dict(
            f=dict(type='FunctionOutputs', source='tests.toys.noise')
        )
    model = build(
        distiller,
        student=dict(type='NoisySegmentor', width=8),
        teacher=dict(type='NoisySegmentor', width=8),
    )
    assert step(model)['distill.loss_f'] > 0


def test_a_parameter_recorder_needs_no_forward_of_the_teacher():
    model = build(
        recording('decode_head.conv_seg.weight', 'Parameter'),
        student=dict(width=8),
    )
    before = len(model.teacher.calls)
    assert step(model)['distill.loss_f'] > 0
    assert len(model.teacher.calls) == before


def test_stopped_distillation_runs_no_teacher_and_leaves_no_gradient_out():
    model = build()
    model.distillation_stopped = True
    before = len(model.teacher.calls)
    losses = step(model)
    assert len(model.teacher.calls) == before
    assert losses['distill.loss_tat'].item() == 0
    assert all(p.grad is not None for p in model.parameters())


def test_every_parameter_gets_a_gradient():
    model = build()
    step(model)
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_a_student_starts_as_it_would_without_a_teacher():
    torch.manual_seed(5)
    alone = ToySegmentor(width=4)
    alone.init_weights()
    after_alone = torch.rand(1)
    torch.manual_seed(5)
    model = build()
    model.student.init_weights()
    assert torch.equal(torch.rand(1), after_alone)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_the_teacher_moves_with_the_algorithm():
    model = build().double()
    dtypes = {p.dtype for p in model.teacher.parameters()}
    assert dtypes == {torch.float64}


def test_a_copy_that_moves_leaves_the_teacher_where_it_is():
    model = build()
    copied = copy.deepcopy(model).double()
    assert {p.dtype for p in copied.parameters()} == {torch.float64}
    assert {p.dtype for p in model.teacher.parameters()} == {torch.float32}


def test_prediction_needs_no_teacher_file():
    model = build(teacher_ckpt='not/there.pth')
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 3, 4, 4)
    with pytest.raises(ValueError, match="teacher_ckpt: no file 'not/there"):
        model.init_weights()


def test_a_random_teacher_is_announced(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmtat.models.utils.frozen_teacher.print_log',
        lambda line, *args: lines.append(line),
    )
    build().init_weights()
    assert 'random weights' in lines[0]
    FrozenTeacherDistill(
        architecture=ToySegmentor(),
        teacher=ToySegmentor(),
        distiller=dict(type='mmtat.TaTDistiller', layers=['backbone']),
    ).init_weights()
    assert len(lines) == 1


def test_losses_without_equal_classes_raise_for_stock_distillers():
    distiller = recording('decode_head.conv_seg', loss='KLDivergence')
    mapping = distiller['loss_forward_mappings']['loss_f']
    mapping['preds_S'] = mapping.pop('s_feature')
    mapping['preds_T'] = mapping.pop('t_feature')
    with pytest.raises(ValueError, match='loss_f: .* 3 .* 5'):
        build(distiller, teacher=dict(classes=5))


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        (dict(teacher=3), TypeError, 'teacher must be a config'),
        (dict(teacher='no/config.py'), ValueError, 'teacher: no config file'),
        (
            dict(teacher='mmseg::deeplabv3/deeplabv3_r101.py'),
            ValueError,
            'close matches: mmseg::deeplabv3/',
        ),
        (dict(teacher='zoo::a/b.py'), ValueError, 'the zoos are'),
        (dict(architecture='x.py'), ValueError, 'architecture: no config'),
        (dict(distiller=None), TypeError, 'distiller must be the config'),
        (dict(train_cfg=dict(a=1)), ValueError, 'belongs to the architecture'),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    config = dict(distillation(), **arguments)
    if not isinstance(config['teacher'], dict):
        config['teacher'] = arguments['teacher']
    with pytest.raises(error, match=message):
        MODELS.build(config)


def test_a_zoo_teacher_is_built_without_its_backbones_file():
    from mmtat.models.utils import resolve_model_config, without_pretrained

    config, _ = resolve_model_config(
        'mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py',
        'teacher',
    )
    assert config.pretrained == 'open-mmlab://resnet101_v1c'
    stripped = without_pretrained(config)
    assert stripped.pretrained is None
    assert stripped.backbone.depth == 101
    # By which timm reads a file while it builds a backbone.
    timm = dict(backbone=dict(checkpoint_path='a.pth', depth=1))
    assert without_pretrained(timm)['backbone'] == dict(
        checkpoint_path='', depth=1
    )
    nested = without_pretrained(
        dict(backbone=[dict(init_cfg=dict(type='Pretrained', checkpoint='x'))])
    )
    assert nested == dict(backbone=[dict(init_cfg=None)])


def test_types_with_a_scope_carry_it_to_the_types_inside():
    from mmtat.models.utils import build_model

    with DefaultScope.overwrite_default_scope('mmrazor'):
        model = build_model(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=dict(type='ResNet', depth=18),
                head=dict(
                    type='LinearClsHead', num_classes=2, in_channels=512
                ),
            ),
            'teacher',
        )
    assert model.backbone.depth == 18


@pytest.mark.parametrize('prepared', [True, False])
def test_margins_of_ofd_come_from_the_trained_teacher(tmp_path, prepared):
    recorders = dict(f=dict(type='ModuleOutputs', source='backbone.norm'))
    ends = dict(
        s_feature=dict(from_student=True, recorder='f', connector='s'),
        t_feature=dict(from_student=False, recorder='f', connector='t'),
    )
    distiller = dict(
        type='OFDDistiller',
        student_recorders=recorders,
        teacher_recorders=recorders,
        distill_losses=dict(loss_f=dict(type='OFDLoss')),
        connectors=dict(
            s=dict(type='ConvModuleConnector', in_channel=4, out_channel=8),
            t=dict(type='OFDTeacherConnector'),
        ),
        loss_forward_mappings=dict(loss_f=ends),
    )
    save_teacher(tmp_path / 't.pth')
    model = build(distiller, teacher_ckpt=str(tmp_path / 't.pth'))
    if prepared:
        model.init_weights()
    assert step(model)['distill.loss_f'] > 0
    margin = model.distiller._get_margin_from_BN(model.teacher.backbone.norm)
    assert torch.equal(model.distiller.connectors['t'].margin, margin)


def test_a_layer_that_never_runs_is_named_in_the_first_step():
    class ByMethod(ToySegmentor):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            logits = self.decode_head.forward(self.extract_feat(inputs))
            return dict(loss=logits.mean()) if mode == 'loss' else logits

    model = FrozenTeacherDistill(
        architecture=ByMethod(width=8),
        teacher=ByMethod(width=8),
        distiller=recording('decode_head'),
    )
    with pytest.raises(ValueError, match="student layer 'decode_head' record"):
        step(model)
    with pytest.raises(ValueError, match='name a layer inside'):
        FrozenTeacherDistill(
            architecture=ByMethod(width=8),
            teacher=ByMethod(width=8),
            distiller=dict(type='mmtat.TaTDistiller', layers=['decode_head']),
        )


def test_a_record_before_an_in_place_dropout_stays_before_it():
    student = ToySegmentor(width=8)
    student.backbone.relu = nn.Dropout(0.5, inplace=True)
    model = FrozenTeacherDistill(
        architecture=student,
        teacher=ToySegmentor(width=8),
        distiller=recording('backbone.norm'),
    )
    assert model._overwritten == {'f'}


def test_one_model_cannot_be_both():
    model = ToySegmentor(width=8)
    with pytest.raises(ValueError, match='teacher shares parameters'):
        FrozenTeacherDistill(model, model, distiller=recording('backbone'))
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ('part', 'kind', 'close'),
    [
        ('distiller', 'mmtat.TatDistiller', 'TaTDistiller'),
        ('distiller', 'ConfigurableDistill', 'ConfigurableDistiller'),
        ('teacher', 'ToySegmenter', 'ToySegmentor'),
        ('architecture', 'mmseg.EncoderDecode', 'EncoderDecoder'),
    ],
)
def test_an_unknown_type_names_close_matches(part, kind, close):
    config = distillation()
    config[part]['type'] = kind
    with pytest.raises(ValueError, match=f'{part}: unknown type .*{close}'):
        MODELS.build(config)
