"""What only a GPU can show; skipped without one."""

import pytest
import torch
from mmengine.registry import MODELS

from .steps import IMAGES, assert_same, in_half_precision, plain, train
from .steps import build as build_step
from .teachers import PLAIN, recording, records, trained
from .teachers import build as build_with_teacher
from .toys import ToySegmentor, distillation

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_mixed_precision_step_is_near_the_full_one(dtype):
    model = MODELS.build(distillation()).cuda()
    assert all(p.is_cuda for p in model.teacher.parameters())
    model.student.eval()
    image = torch.rand(2, 3, 32, 32, device='cuda')
    expected = model(image, mode='loss')['distill.loss_tat']
    with torch.autocast('cuda', dtype):
        loss = model(image, mode='loss')['distill.loss_tat']
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=0)
    assert all(p.grad is not None for p in model.distiller.parameters())


@pytest.mark.parametrize(
    ('options', 'tolerance'),
    [
        (dict(), 1e-5),
        (dict(channels_last=True), 1e-5),
        (dict(compile=dict(backend='eager')), 1e-5),
        (dict(stream=True), 1e-5),
        (dict(dtype='bfloat16'), 5e-2),
        (dict(dtype='float16'), 1e-2),
        (dict(dtype='bfloat16', stream=True, channels_last=True), 5e-2),
    ],
)
@pytest.mark.parametrize('source', ['backbone', 'decode_head.conv_seg'])
def test_what_a_gpus_teacher_records_stays_the_same(
    source, options, tolerance
):
    image = torch.rand(2, 3, 32, 32, device='cuda')
    plain = build_with_teacher(recording(source), PLAIN).cuda()
    model = build_with_teacher(recording(source), options).cuda()
    with torch.backends.cudnn.flags(allow_tf32=False):
        expected = records(plain, image)
        for _ in range(2):
            found = records(model, image)
            torch.testing.assert_close(
                found, expected, rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize(
    ('dtype', 'expected'), [(None, False), ('bfloat16', True)]
)
def test_a_gpus_teacher_gets_channels_last_in_half_precision(dtype, expected):
    model = build_with_teacher(recording('backbone'), dict(dtype=dtype)).cuda()
    seen = []
    model.teacher.backbone.relu.register_forward_pre_hook(
        lambda module, inputs: seen.append(
            inputs[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    records(model, torch.rand(2, 3, 32, 32, device='cuda'))
    assert seen == [expected]


class Slow(ToySegmentor):
    """Gives its features long after the step could read them."""

    def extract_feat(self, inputs):
        assert torch.cuda.current_stream() != torch.cuda.default_stream()
        torch.cuda._sleep(10**8)
        return self.backbone(inputs)


def test_the_step_waits_for_the_teachers_stream():
    distiller = dict(
        type='mmtat.FeatureDistiller',
        layers=['backbone'],
        losses=dict(loss_l2=dict(type='L2Loss')),
    )
    losses = []
    for kind, stream in ((ToySegmentor, False), (Slow, True)):
        torch.manual_seed(0)
        model = MODELS.build(
            distillation(
                distiller,
                student=dict(width=8),
                teacher_options=dict(stream=stream, fold_norms=False),
            )
        )
        if kind is Slow:
            model.teacher.__class__ = Slow
        trained(model.teacher)
        model.cuda().student.eval()
        image = torch.ones(2, 3, 32, 32, device='cuda')
        for _ in range(3):
            losses.append(model(image, mode='loss')['distill.loss_l2'])
            # Memory that is given back too early would be used here.
            torch.full((2, 8, 16, 16), float('nan'), device='cuda')
    expected = losses[0].expand(len(losses))
    torch.testing.assert_close(torch.stack(losses), expected)


@pytest.mark.parametrize('stream', [False, True])
@pytest.mark.parametrize('norm', ['image', 'batch'])
@pytest.mark.parametrize(
    ('channels_last', 'backend'),
    [(False, None), (True, None), (True, 'aot_eager'), (True, 'inductor')],
)
@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [(torch.bfloat16, 2**-5), (torch.float16, 2**-8)],
)
def test_a_gpus_step_is_the_plain_one(
    dtype, tolerance, channels_last, backend, norm, stream
):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = build_step(stream, norm, dtype=torch.float32).cuda()
    model.to(memory_format=layout)
    images = IMAGES.cuda().contiguous(memory_format=layout)
    if backend is not None:
        torch._dynamo.reset()
        model.student.compile(backend=backend)
    found = train(model, in_half_precision(model, dtype, images))
    assert_same(found, plain(False, norm), tolerance)
