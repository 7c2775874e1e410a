"""What a teacher's file must hold, and how a wrong one is refused."""

import pytest
import torch
from mmengine.registry import MODELS

from mmtat.models.utils import load_teacher, read_state_dict

from .toys import ToySegmentor, distillation, save_teacher


def build(path, **kwargs):
    config = distillation(teacher_ckpt=path, **kwargs)
    return MODELS.build(config)


def test_the_whole_teacher_is_loaded(tmp_path):
    expected = save_teacher(tmp_path / 't.pth')
    model = build(str(tmp_path / 't.pth'))
    model.init_weights()
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_weights_behind_the_recorded_layer_may_lack(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmtat.models.utils.teacher_checkpoint.print_log',
        lambda line, *args: lines.append(line),
    )
    state_dict = save_teacher(tmp_path / 't.pth')
    kept = {k: v for k, v in state_dict.items() if k.startswith('backbone.c')}
    torch.save(dict(state_dict=kept), tmp_path / 'part.pth')
    model = build(str(tmp_path / 'part.pth'))
    model.init_weights()
    assert torch.equal(
        model.teacher.backbone.conv.weight, state_dict['backbone.conv.weight']
    )
    assert '8 weights behind the recorded layers' in lines[0]
    assert 'all 2 weights that the recorded layers depend on' in lines[1]


def test_buffers_that_the_recorded_layer_depends_on_are_required(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    del state_dict['backbone.norm.running_mean']
    torch.save(state_dict, tmp_path / 't.pth')
    distiller = dict(type='mmtat.TaTDistiller', layers=['backbone'])
    model = build(str(tmp_path / 't.pth'), distiller=distiller)
    with pytest.raises(ValueError) as error:
        model.init_weights()
    assert '5 of the 6 weights' in str(error.value)
    assert 'Not matched: backbone.norm.running_mean.' in str(error.value)


def test_a_counter_of_batches_is_not_required(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    del state_dict['backbone.norm.num_batches_tracked']
    torch.save(state_dict, tmp_path / 't.pth')
    distiller = dict(type='mmtat.TaTDistiller', layers=['backbone'])
    build(str(tmp_path / 't.pth'), distiller=distiller).init_weights()


def test_another_shape_is_refused_and_shown(tmp_path):
    save_teacher(tmp_path / 't.pth', width=6)
    with pytest.raises(ValueError) as error:
        build(str(tmp_path / 't.pth')).init_weights()
    assert '0 of the 2 weights' in str(error.value)
    assert 'conv.weight (another shape: (6, 3, 3, 3))' in str(error.value)


def test_a_prefix_that_would_fix_it_is_named_and_works(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    path = str(tmp_path / 'prefixed.pth')
    torch.save({f'architecture.{k}': v for k, v in state_dict.items()}, path)
    with pytest.raises(ValueError) as error:
        build(path).init_weights()
    assert "prefix='architecture.'" in str(error.value)
    model = build(dict(checkpoint=path, prefix='architecture.'))
    model.init_weights()
    assert torch.equal(
        model.teacher.backbone.conv.bias, state_dict['backbone.conv.bias']
    )


def test_a_backbone_alone_is_not_a_teacher(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    path = str(tmp_path / 'backbone.pth')
    part = {k[9:]: v for k, v in state_dict.items() if 'backbone' in k}
    torch.save(part, path)
    with pytest.raises(ValueError, match="lack the prefix 'backbone.'"):
        build(path).init_weights()


def test_at_most_five_names_are_shown(tmp_path):
    torch.save(dict(other=torch.ones(1)), tmp_path / 't.pth')
    with pytest.raises(ValueError) as error:
        load_teacher(ToySegmentor(), str(tmp_path / 't.pth'))
    assert (
        str(error.value).count('.weight')
        + str(error.value).count('.bias')
        + str(error.value).count('running')
        == 5
    )
    assert 'belongs to another model' in str(error.value)


def test_a_path_object_and_a_file_with_a_counter_load(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    torch.save(dict(state_dict, epoch=3), tmp_path / 't.pth')
    build(tmp_path / 't.pth').init_weights()


def test_data_parallel_files_load(tmp_path):
    state_dict = save_teacher(tmp_path / 't.pth')
    torch.save(
        {f'module.{k}': v for k, v in state_dict.items()}, tmp_path / 'm.pth'
    )
    build(str(tmp_path / 'm.pth')).init_weights()


def test_unreadable_files_are_refused_in_words(tmp_path):
    save_teacher(tmp_path / 't.pth')
    whole = (tmp_path / 't.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'text.pth').write_text('no checkpoint')
    (tmp_path / 'empty.pth').write_bytes(b'')
    torch.save([1, 2], tmp_path / 'list.pth')
    torch.save(dict(state_dict={}), tmp_path / 'nothing.pth')
    for name in ('cut', 'text', 'empty'):
        with pytest.raises(ValueError, match='cannot be read as a checkpoint'):
            read_state_dict(str(tmp_path / f'{name}.pth'), 'teacher_ckpt')
    for name in ('list', 'nothing'):
        with pytest.raises(ValueError, match='holds no weights'):
            read_state_dict(str(tmp_path / f'{name}.pth'), 'teacher_ckpt')
    with pytest.raises(ValueError, match='teacher_ckpt: no file'):
        read_state_dict(str(tmp_path / 'missing.pth'), 'teacher_ckpt')


@pytest.mark.parametrize('lost', [1, 30, 400, 3000])
def test_a_file_that_is_cut_anywhere_is_said_to_be_that(tmp_path, lost):
    path = tmp_path / 'cut.pth'
    save_teacher(path)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ValueError, match='cannot be read .* .truncated'):
        read_state_dict(str(path), 'teacher_ckpt')


def test_a_url_out_of_reach_is_said_to_be_that():
    with pytest.raises(ValueError, match='cannot be fetched or opened'):
        read_state_dict('http://127.0.0.1:9/teacher.pth', 'teacher_ckpt')


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ('ran',)

    torch.save(dict(state_dict=Evil()), tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='it holds .*print, which is no wei'):
        read_state_dict(str(tmp_path / 'evil.pth'), 'teacher_ckpt')


@pytest.mark.parametrize('source', [5, dict(path='x'), dict(prefix='y')])
def test_a_source_of_another_kind_raises(source):
    with pytest.raises(TypeError, match='teacher_ckpt must be a path'):
        load_teacher(ToySegmentor(), source)
