"""CRD against its reference, memory and resume; WKD-F's closed form."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement

from mmtat.models import CRDLoss
from mmtat.ops import gaussian_wasserstein_loss

from .rivals import method
from .running import ToyImages, toy_config, train
from .toys import distillation, save_teacher


def named(*numbers):
    return [BaseDataElement(metainfo=dict(sample_idx=n)) for n in numbers]


def unit(*shape):
    return F.normalize(torch.randn(shape), dim=-1).requires_grad_()


def crd(images=10, negatives=6, **kwargs):
    return CRDLoss(images, negatives, embedding_channels=4, **kwargs)


class NaiveCRD:
    """The paper's loss, sample by sample, beside its two memories."""

    def __init__(self, loss, tau=0.07, momentum=0.5):
        contrast = loss.loss.contrast
        self.memories = [
            contrast.memory_v1.clone(),
            contrast.memory_v2.clone(),
        ]
        self.size, self.tau, self.momentum = loss.images, tau, momentum
        self.constants = None

    def __call__(self, student, teacher, places, others):
        # Each looks at the memory of the other.
        first, second = (memory.clone() for memory in self.memories)
        pairs = (student, second), (teacher, first)
        scores = [
            [
                [
                    torch.exp((anchor * memory[place]).sum() / self.tau)
                    for place in [own, *row]
                ]
                for anchor, own, row in zip(anchors, places, others)
            ]
            for anchors, memory in pairs
        ]
        if self.constants is None:
            # M times the mean score of the first batch.
            self.constants = [
                self.size * np.mean([[x.item() for x in r] for r in table])
                for table in scores
            ]
        total = 0
        for table, constant in zip(scores, self.constants):
            for row in table:
                # h = p / (p + N / M), with N negatives of M images.
                share = (len(row) - 1) / self.size
                own, *rest = (score / constant for score in row)
                total -= (own / (own + share)).log()
                total -= sum((1 - p / (p + share)).log() for p in rest)
        for memory, features in zip(self.memories, (student, teacher)):
            for place, feature in zip(places, features.detach()):
                kept = self.momentum * memory[place]
                moved = kept + (1 - self.momentum) * feature
                memory[place] = moved / moved.square().sum().sqrt()
        return total / len(places)


@pytest.mark.parametrize(('tau', 'momentum'), [(0.07, 0.5), (0.5, 0.9)])
def test_loss_gradient_and_memory_equal_the_reference(tau, momentum):
    loss = crd(temperature=tau, momentum=momentum, loss_weight=0.8)
    naive = NaiveCRD(loss, tau, momentum)
    # The third batch meets images of the first.
    for step, batch in enumerate([(7, 3), (1, 4), (3, 9)]):
        student, teacher = unit(2, 4), unit(2, 4)
        torch.manual_seed(step)
        value = loss(student, teacher, named(*batch))
        places = loss.index_of(named(*batch)).tolist()
        torch.manual_seed(step)
        others = torch.randint(10, (2, 6))
        expected = 0.8 * naive(student, teacher, places, others)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)
        torch.testing.assert_close(
            torch.autograd.grad(value, (student, teacher)),
            torch.autograd.grad(expected, (student, teacher)),
            rtol=1e-4,
            atol=1e-5,
        )
    contrast = loss.loss.contrast
    for memory, expected in zip(
        (contrast.memory_v1, contrast.memory_v2), naive.memories
    ):
        torch.testing.assert_close(memory, expected)
        used = memory[:5].norm(dim=1)
        torch.testing.assert_close(used, torch.ones(5))
    constants = contrast.params[2:4]
    torch.testing.assert_close(
        constants, torch.tensor(naive.constants).float()
    )


def test_the_first_batch_leaves_no_graph_behind():
    loss = crd()
    loss(unit(2, 4), unit(2, 4), named(0, 1)).backward()
    assert not any(buffer.requires_grad for buffer in loss.buffers())


def test_the_same_image_has_the_same_place():
    loss = crd()
    assert loss.index_of(named(5, 0, 8)).tolist() == [0, 1, 2]
    assert loss.index_of(named(8, 2, 5, 0)).tolist() == [2, 3, 0, 1]


def test_places_that_were_put_back_are_written_again():
    loss = crd()
    before = loss.places.clone()
    loss.index_of(named(1, 2))
    # As a hook does that looks at a batch and leaves no trace.
    loss.places.copy_(before)
    loss.index_of(named(3, 2))
    resumed = crd()
    resumed.load_state_dict(loss.state_dict())
    assert resumed.index_of(named(2, 3)).tolist() == [1, 2]


def test_an_image_is_known_by_its_path_before_its_number():
    loss = crd()
    paths = [
        BaseDataElement(metainfo=dict(img_path=path, sample_idx=number))
        for path, number in (('a/1.png', 0), ('b/1.png', 0), ('a/1.png', 7))
    ]
    assert loss.index_of(paths).tolist() == [0, 1, 0]
    same = BaseDataElement(metainfo=dict(img_path=Path('b/1.png')))
    assert loss.index_of([same]).tolist() == [1]
    # An array in memory has no path.
    unnamed = BaseDataElement(metainfo=dict(img_path=None, sample_idx=0))
    assert loss.index_of([unnamed, *named(0)]).tolist() == [2, 2]


def test_more_images_than_the_memory_holds_raise():
    loss = crd(images=3)
    loss.index_of(named(0, 1, 2))
    with pytest.raises(ValueError, match='images=3 is less than the training'):
        loss.index_of(named(2, 3))


@pytest.mark.parametrize('used', [False, True])
def test_a_resumed_loss_goes_on_as_one_that_was_never_cut(used):
    batches = [named(6, 2), named(4, 9), named(2, 1), named(9, 6)]
    pairs = [(unit(2, 4), unit(2, 4)) for _ in batches]

    def step(loss, index):
        torch.manual_seed(index)
        return loss(*pairs[index], batches[index]).item()

    whole = crd()
    first = [step(whole, index) for index in (0, 1)]
    resumed = crd()
    if used:
        step(resumed, 3)
    resumed.load_state_dict(whole.state_dict())
    for index in (2, 3):
        assert step(resumed, index) == step(whole, index)
    assert torch.equal(resumed.places, whole.places)
    assert first[0] != first[1]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_contrast_is_computed_in_float32(dtype):
    losses = []
    for enabled in (True, False):
        torch.manual_seed(0)
        loss = crd(images=200, negatives=64)
        student = unit(2, 4).detach()
        low = [student.to(dtype), student.to(dtype)]
        with torch.autocast('cpu', dtype, enabled=enabled):
            # Own places in the memory: scores of e^14.
            values = [loss(*low, named(0, 1)) for _ in range(8)]
        losses.append(values[-1])
    assert losses[0].dtype == torch.float32
    assert math.isfinite(losses[0])
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(images=0), 'images must be a positive integer'),
        (dict(negatives=1.5), 'negatives must be a positive integer'),
        (dict(temperature=0), 'temperature must be a positive number'),
        (dict(momentum=1.1), r'momentum must be in \[0, 1\], got 1.1'),
        (dict(loss_weight=-1), 'loss_weight must be a number'),
    ],
)
def test_bad_numbers_are_refused_when_it_is_built(change, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        crd(**change)


def test_features_and_samples_that_do_not_fit_raise():
    loss, feature = crd(), unit(2, 4)
    with pytest.raises(ValueError, match='^t_feature must have embedding_cha'):
        loss(feature, unit(2, 5), named(0, 1))
    with pytest.raises(ValueError, match=r'^s_feature must be of shape \(N, '):
        loss(feature[..., None, None], feature, named(0, 1))
    with pytest.raises(TypeError, match='^t_feature must be a tensor'):
        loss(feature, None, named(0, 1))
    nameless = [BaseDataElement(metainfo=dict(ori_shape=(4, 4)))] * 2
    with pytest.raises(ValueError, match='img_path or sample_idx.*ori_shape'):
        loss(feature, feature, nameless)


@DATASETS.register_module()
class NumberedImages(ToyImages):
    """With what CRD tells them apart by."""

    def __getitem__(self, index):
        return dict(super().__getitem__(index), data_samples=named(index)[0])


def test_a_resumed_run_is_the_run_that_was_never_cut(tmp_path, monkeypatch):
    def counted(high, size, device=None):
        """Negatives that need no random state, which no checkpoint has."""
        return torch.arange(math.prod(size)).view(size) % high

    path = tmp_path / 'teacher.pth'
    save_teacher(path)
    preprocessor = dict(data_preprocessor=dict(type='ImgDataPreprocessor'))
    model = distillation(
        method('crd'),
        student=dict(norm='none', **preprocessor),
        teacher=preprocessor,
        teacher_ckpt=str(path),
    )
    runs = {}
    for name, resume, iterations in (
        ('whole', False, 4),
        ('cut', False, 2),
        ('cut', True, 4),
    ):
        # A schedule would end with the run that is cut.
        config = toy_config(
            tmp_path / name,
            model,
            max_iters=iterations,
            resume=resume,
            param_scheduler=None,
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=2
                )
            ),
        )
        config['train_cfg']['val_interval'] = 9
        config['train_dataloader'].update(
            collate_fn=dict(type='pseudo_collate'),
            dataset=dict(type='NumberedImages'),
        )
        with monkeypatch.context() as patch:
            patch.setattr(torch, 'randint', counted)
            runs[name] = train(config)
    whole, resumed = (runs[name].model for name in ('whole', 'cut'))
    criterion = resumed.distiller.layer_criteria[0]['loss_crd']
    assert torch.count_nonzero(criterion.places) == 8
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_the_distance_is_the_closed_form_of_diagonal_gaussians():
    student, teacher = torch.randn(2, 3, 4, 6, 5).double()
    teacher = 2 * teacher[..., :4] + 1
    expected = []
    for s, t in zip(student.flatten(2).numpy(), teacher.flatten(2).numpy()):
        first, second = (np.diag(x.var(axis=1)) for x in (s, t))
        root = scipy.linalg.sqrtm(first)
        cross = scipy.linalg.sqrtm(root @ second @ root)
        means = np.square(s.mean(axis=1) - t.mean(axis=1)).sum()
        expected.append(means + np.trace(first + second - 2 * cross))
    loss = gaussian_wasserstein_loss(student, teacher, mean_weight=1.0)
    # Of 4 channels; Bures' distance of the covariances, the means squared.
    assert loss.item() == pytest.approx(np.mean(expected) / 4, rel=1e-9)


def test_the_order_of_positions_does_not_matter():
    student, teacher = torch.randn(2, 3, 4, 6, 5)
    moved = student.flatten(2)[:, :, torch.randperm(30)].view(3, 4, 5, 6)
    torch.testing.assert_close(
        gaussian_wasserstein_loss(moved, teacher),
        gaussian_wasserstein_loss(student, teacher),
    )
