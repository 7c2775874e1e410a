"""What only a GPU can show; skipped without one."""

import pytest
import torch
from mmengine.registry import MODELS

from .toys import distillation

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
