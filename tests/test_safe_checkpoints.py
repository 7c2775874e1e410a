"""Checkpoints that survive what happens to the process that writes them."""

import logging
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.runner import Runner, checkpoint

from mmtat import files
from mmtat.compat import atomic_saving
from mmtat.engine.checked_runner import CheckedRunner
from mmtat.engine.hooks import safe_checkpoint_hook
from mmtat.engine.saving.newest import newest_loadable
from mmtat.engine.saving.settings import differences
from mmtat.engine.student_config import student_config

from .running import toy_config, train
from .test_exact_resume import config_of, last_checkpoint
from .toys import save_teacher


@METRICS.register_module()
class Better(BaseMetric):
    """Each validation is better than the last."""

    validations = 0

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        self.validations += 1
        return dict(score=self.validations)


@pytest.fixture
def teacher(tmp_path):
    path = tmp_path / 'teacher.pth'
    save_teacher(path)
    return path


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def test_the_old_file_goes_when_the_new_one_and_its_pointer_are_there(
    tmp_path, teacher, monkeypatch
):
    folder, seen = tmp_path / 'run', []
    replace = files.os.replace

    def watched(source, target):
        replace(source, target)
        seen.append((target.name, checkpoints(folder)))

    monkeypatch.setattr(files.os, 'replace', watched)
    train(config_of(folder, teacher))
    first = [name for name, _ in seen].index('iter_12.pth')
    (_, there), (pointer, still_there) = seen[first : first + 2]
    assert pointer == 'last_checkpoint'
    for names in (there, still_there):
        assert {'iter_6.pth', 'iter_9.pth', 'iter_12.pth'} <= set(names)
    assert not {'iter_3.pth', 'iter_6.pth'} & set(checkpoints(folder))


def test_the_old_best_goes_after_the_new_one(tmp_path, teacher, monkeypatch):
    folder, removed = tmp_path / 'run', []
    remove = safe_checkpoint_hook.remove

    def watched(backend, path):
        removed.append((path, checkpoints(folder)))
        remove(backend, path)

    monkeypatch.setattr(safe_checkpoint_hook, 'remove', watched)
    config = config_of(folder, teacher)
    config['val_evaluator'] = dict(type='Better')
    config['default_hooks']['checkpoint']['max_keep_ckpts'] = -1
    train(config)
    assert len(removed) == 3
    for path, there in removed:
        best = [name for name in there if name.startswith('best')]
        assert len(best) == 2 and path.rpartition('/')[2] in best
    assert len([n for n in checkpoints(folder) if 'best' in n]) == 1


def test_a_validation_alone_saves_nothing(tmp_path, teacher):
    config = config_of(tmp_path / 'run', teacher)
    config.update(
        val_dataloader=dict(config['train_dataloader']),
        val_cfg=dict(),
        val_evaluator=dict(type='Better'),
    )
    config['val_dataloader']['sampler'] = dict(
        type='DefaultSampler', shuffle=False
    )
    config['default_hooks']['checkpoint']['save_best'] = 'score'
    assert Runner.from_cfg(Config(config)).val() == dict(score=1)
    assert checkpoints(tmp_path / 'run') == []


def test_every_checkpoint_is_written_aside(tmp_path, monkeypatch):
    written = []
    save = atomic_saving.save_atomically
    monkeypatch.setattr(
        atomic_saving,
        'save_atomically',
        lambda value, path: written.append(path) or save(value, path),
    )
    train(toy_config(tmp_path, max_iters=2))
    assert {path.rpartition('/')[2] for path in written} == {
        'iter_2.pth',
        'best_score_iter_2.pth',
    }
    assert not atomic_saving.WORKAROUND.needed()


def test_a_backend_that_is_no_disk_is_mmengines(monkeypatch):
    given = []
    stock = checkpoint.save_checkpoint.__wrapped__
    save = atomic_saving._safely(lambda *arguments: given.append(arguments))
    save(dict(), 's3://bucket/a.pth')
    assert given == [(dict(), 's3://bucket/a.pth', None, None)]
    assert stock.__module__ == 'mmengine.runner.checkpoint'


def damage(path):
    path.write_bytes(path.read_bytes()[:100])


def test_the_newest_that_loads_is_taken(tmp_path, teacher, caplog):
    folder = tmp_path / 'run'
    train(config_of(folder, teacher))
    assert newest_loadable(folder).name == 'iter_12.pth'
    damage(folder / 'iter_12.pth')
    with caplog.at_level(logging.WARNING):
        assert newest_loadable(folder).name == 'iter_9.pth'
    damage(folder / 'iter_9.pth')
    with pytest.raises(ValueError, match='of 2. The newest: .*iter_12.pth'):
        newest_loadable(folder)
    assert newest_loadable(tmp_path / 'empty') is None


def test_a_runner_goes_on_from_the_newest_that_loads(tmp_path, teacher):
    folder = tmp_path / 'run'
    train(config_of(folder, teacher))
    damage(folder / 'iter_12.pth')
    config = config_of(folder, teacher, resume=True)
    runner = Runner.from_cfg(Config(config))
    runner.train()
    assert runner._load_from.endswith('iter_9.pth')
    assert last_checkpoint(folder)['meta']['iter'] == 12


def test_a_named_checkpoint_with_a_changed_bit_is_refused(tmp_path, teacher):
    folder = tmp_path / 'run'
    train(config_of(folder, teacher))
    path = Path((folder / 'last_checkpoint').read_text())
    content = bytearray(path.read_bytes())
    weights = last_checkpoint(folder)['state_dict']['backbone.conv.weight']
    # torch loads it all the same.
    content[content.index(weights.numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)
    config = config_of(tmp_path / 'other', teacher, resume=True)
    config['load_from'] = str(path)
    with pytest.raises(ValueError, match='reads back damaged'):
        CheckedRunner.from_cfg(Config(config))


def test_a_run_goes_on_with_its_settings_only(tmp_path, teacher):
    folder = tmp_path / 'run'
    train(config_of(folder, teacher))
    config = config_of(folder, teacher, resume=True)
    config['train_dataloader']['batch_size'] = 4
    config['optim_wrapper']['optimizer']['lr'] = 0.2
    with pytest.raises(ValueError) as error:
        train(config)
    assert 'train_dataloader.batch_size: 2 became 4' in str(error.value)
    assert 'optim_wrapper.optimizer.lr: 0.1 became 0.2' in str(error.value)
    assert 'allow_changes=True' in str(error.value)
    config['default_hooks']['checkpoint']['allow_changes'] = True
    train(config)


def test_a_run_may_become_longer_and_the_log_says_so(tmp_path, teacher):
    folder = tmp_path / 'run'
    steps = train(config_of(folder, teacher)).iter
    config = config_of(folder, teacher, resume=True)
    config['train_cfg']['max_iters'] = steps + 2
    assert train(config).iter == steps + 2
    expected = f'train_cfg.max_iters: {steps} became {steps + 2}'
    assert any(expected in log.read_text() for log in folder.glob('*/*.log'))


def test_a_checkpoint_carries_nothing_that_runs(tmp_path, teacher):
    folder = tmp_path / 'run'
    train(config_of(folder, teacher))
    path = folder / 'iter_9.pth'
    content = torch.load(path, weights_only=True)
    ran = tmp_path / 'ran'
    content['meta']['config'] = f'open({str(ran)!r}, "w").write("x")\na = 1'
    torch.save(content, path)
    config = config_of(folder, teacher, resume=True, load_from=str(path))
    train(config)
    assert not ran.exists()


@pytest.mark.parametrize(
    ('old', 'new', 'lines'),
    [
        (dict(a=1), dict(a=1), []),
        (dict(a=1), dict(b=1), ['a: 1 became None', 'b: None became 1']),
        (dict(work_dir='a'), dict(work_dir='b'), []),
        (dict(a=[1, 2]), dict(a=[1, 3]), ['a[1]: 2 became 3']),
        (dict(a=[1]), dict(a=[1, 2]), ['a: [1] became [1, 2]']),
        (dict(a=(1,)), dict(a=[1]), []),
        (dict(a=dict(work_dir=1)), dict(a={}), ['a.work_dir: 1 became None']),
    ],
)
def test_settings_are_compared_one_by_one(old, new, lines):
    assert differences(old, new) == lines


@pytest.mark.parametrize(
    ('by_epoch', 'loop'),
    [(False, 'IterBasedTrainLoop'), (True, 'EpochBasedTrainLoop')],
)
def test_the_students_config_has_the_stock_hook_and_loop(
    tmp_path, teacher, by_epoch, loop
):
    config = config_of(tmp_path / 'run', teacher, by_epoch, seeded=True)
    config['default_hooks']['checkpoint']['allow_changes'] = True
    plain = student_config(Config(config))
    assert plain.default_hooks.checkpoint.type == 'CheckpointHook'
    assert plain.default_hooks.checkpoint.save_best == 'score'
    assert plain.train_cfg.type == loop
    assert 'seeded_samples' not in plain.train_cfg
    assert 'mmtat' not in plain.pretty_text
