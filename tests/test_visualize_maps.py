import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from mmengine.registry import MODELS
from PIL import Image
from torch import nn

from mmtat.engine.inspected import built, read_config
from mmtat.engine.visualization.features import (
    LayerFeatures,
    layer_features,
)
from mmtat.engine.visualization.figure import COLOURS, Fig4
from mmtat.engine.visualization.images import Picture
from mmtat.engine.visualization.looks import branches_of, peak_of
from mmtat.engine.visualization.maps import draw_maps
from mmtat.engine.visualization.pixels import Pixel, pick_pixels
from mmtat.engine.visualization.subject import resizing_of
from mmtat.engine.visualization.trained import crop_of
from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.ops import (
    RegionGrid,
    attention_column,
    attention_row,
    group_patches,
    pool_anchors,
    pooled_attention,
    rebuilt_map,
    scaled_channels,
    target_aware_attention,
    tiled,
    ungroup_patches,
)

from .distilled import CONFIG, WHOLE, DistilledRun
from .toys import ToySegmentor, distillation

BRANCHES = dict(
    whole=dict(),
    patch_group=dict(patches=(2, 2), groups=2),
    anchor_point=dict(anchors=(2, 2)),
)


def features(student, teacher, formulation, branches=None, **embeddings):
    """Of maps that are embedded by the identity, unless told otherwise."""
    none = dict(query=None, key=None, value=None)
    layer = TaTLayer(
        student.shape[1],
        teacher.shape[1],
        formulation,
        branches=branches or BRANCHES,
        resize=False,
        **{**none, **embeddings},
    ).eval()
    sources = layer.sources(student, teacher)
    with torch.no_grad():
        embedded = {n: getattr(layer, n)(sources[n]) for n in none}
    return LayerFeatures(layer, student, teacher, embedded)


def naive(query, key):
    """The map of one pair of maps, as on paper."""
    logits = query.flatten(2).transpose(1, 2) @ key.flatten(2)
    return logits.softmax(-1)


@pytest.fixture
def maps():
    return torch.randn(2, 5, 4, 6), torch.randn(2, 5, 3, 7)


def test_rows_and_columns_are_those_of_the_whole_map(maps):
    query, key = maps
    whole = naive(query, key)
    for position in (0, 9, 20):
        row = attention_row(query, key, position)
        torch.testing.assert_close(row, whole[:, position])
        column = attention_column(query, key, position)
        torch.testing.assert_close(column, whole[:, :, position])


def test_blocks_of_rows_change_nothing(maps, monkeypatch):
    query, key = maps
    value = torch.randn(2, 3, 3, 7)
    monkeypatch.setattr('mmtat.ops.attention_maps._BLOCK_ROWS', 5)
    torch.testing.assert_close(pooled_attention(*maps), naive(*maps))
    torch.testing.assert_close(
        attention_column(query, key, 3), naive(query, key)[:, :, 3]
    )
    torch.testing.assert_close(
        rebuilt_map(query, key, value),
        target_aware_attention(query, key, value),
    )


def test_pooling_takes_means_of_queries_and_sums_of_keys(maps):
    query, key = maps
    pooled = pooled_attention(query, key, (2, 4), (3, 2))
    whole = naive(query, key).reshape(2, 4, 6, 3, 7)
    assert pooled.shape == (2, 2 * 2, 1 * 4)
    torch.testing.assert_close(pooled.sum(-1), torch.ones(2, 4))
    # Rows 2 and 3, columns 4 and 5 of the query; columns 6 of the key.
    wanted = whole[:, 2:, 4:, :, 6:].mean((1, 2)).sum((1, 2))
    torch.testing.assert_close(pooled[:, 3, 3], wanted)


@pytest.mark.parametrize('size', [(8, 12), (9, 14)])
@pytest.mark.parametrize('groups', [1, 2, 6])
def test_a_grid_knows_where_patch_groups_come_from(size, groups):
    patches = (2, 3)
    numbers = torch.arange(size[0] * size[1]).reshape(1, 1, *size)
    grouped = group_patches(numbers, patches, groups)
    grid = RegionGrid.patch_groups(size, patches, groups)
    assert grid.groups == groups
    seen = 0
    for y in range(size[0]):
        for x in range(size[1]):
            found = grid.token(y, x)
            if found is None:
                assert y >= 8 or x >= 12
                continue
            group, token = found
            members = grouped[group].flatten(1)[:, token]
            assert int(numbers[0, 0, y, x]) in members.tolist()
            seen += 1
    assert seen == 8 * 12
    ungrouped = ungroup_patches(grouped, patches, groups)
    assert torch.equal(ungrouped, numbers[:, :, :8, :12])


def test_a_grid_knows_where_anchors_come_from():
    grid = RegionGrid.anchor_points((9, 8), (4, 4))
    feature = torch.rand(1, 1, 9, 8)
    pooled = pool_anchors(feature, (4, 4))[0, 0]
    assert grid.token(5, 3) == (0, 2 * 4 + 1)
    torch.testing.assert_close(pooled[2, 1], feature[0, 0, 4:6, 2:4].mean())
    # The ninth row is in no anchor.
    assert grid.token(8, 0) is None
    large = grid.enlarge(grid.spread(pooled.flatten(), 0))
    assert large.shape == (9, 8) and bool(large[8].isnan().all())
    assert torch.equal(large[4:6, 2:4], pooled[2, 1].expand(2, 2))


def constructed(formulation, branch):
    """Teacher's position j and student's position p(j) share one direction.

    Returns the features and p, as positions by positions.
    """
    size, codes = 4, 30 * torch.eye(16)
    if branch == 'anchor_point':
        # Positions of an anchor are alike.
        blocks = torch.tensor([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2)
        teacher = codes[blocks]
        moved = torch.tensor([2, 0, 3, 1])
        student = codes[moved.argsort()[blocks]]
        corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
        places = {
            (y, x): corners[int(moved[blocks[y, x]])]
            for y in range(size)
            for x in range(size)
        }
    else:
        teacher = codes.reshape(size, size, 16)
        student = torch.zeros_like(teacher)
        places = {}
        # Within each patch of 2x2, so that all branches can look there.
        steps = {(0, 0): (1, 1), (1, 1): (0, 1), (0, 1): (1, 0)}
        steps[(1, 0)] = (0, 0)
        for y in range(size):
            for x in range(size):
                to = steps[(y % 2, x % 2)]
                place = y - y % 2 + to[0], x - x % 2 + to[1]
                student[place] = teacher[y, x]
                places[(y, x)] = place
    # (H, W, C) -> (1, C, H, W)
    student, teacher = (
        one.permute(2, 0, 1)[None] for one in (student, teacher)
    )
    return features(student, teacher, formulation), places


@pytest.mark.parametrize('branch', list(BRANCHES))
@pytest.mark.parametrize('formulation', ['released', 'paper'])
def test_a_pixel_looks_where_the_student_has_its_feature(formulation, branch):
    found, places = constructed(formulation, branch)
    looks = branches_of(found)[branch]
    for (y, x), place in places.items():
        look = looks.look(y, x)
        assert look.shape == (4, 4)
        weights = look.nan_to_num(0.0)
        assert float(weights[place]) == pytest.approx(1, abs=1e-4)
        if branch == 'whole':
            assert peak_of(look) == place
        if branch == 'patch_group':
            # Two patches are a group: the other half is out of sight, and
            # both have the token's weight.
            top = y < 2
            assert bool(look[2:].isnan().all()) == top
            assert not look[:2].isnan().any() or not top
            offset = place[0], place[1] % 2
            assert look[offset] == look[offset[0], offset[1] + 2]
        counts = dict(whole=1, patch_group=2, anchor_point=4)
        assert int((weights > 0.5).sum()) == counts[branch]


@pytest.mark.parametrize('branch', list(BRANCHES))
def test_rows_of_the_released_map_run_the_other_way(branch):
    found, places = constructed('released', branch)
    looks = branches_of(found)[branch]
    assert looks.readings == ['matched', 'mixed']
    for origin, place in places.items():
        if branch == 'anchor_point':
            origin = origin[0] // 2 * 2, origin[1] // 2 * 2
        # The student's position p(j) is rebuilt from the values at j.
        weights = looks.look(*place, 'mixed').nan_to_num(0.0)
        assert float(weights[origin]) == pytest.approx(1, abs=1e-4)


def test_both_readings_are_one_in_the_formulation_of_the_paper():
    found, _ = constructed('paper', 'whole')
    looks = branches_of(found)['whole']
    assert looks.readings == ['matched']
    assert torch.equal(looks.look(1, 2), looks.look(1, 2, 'mixed'))


def test_embeddings_are_applied_before_looking():
    student, teacher = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 4, 4)
    embedding = dict(kernel_size=1, norm='image')
    found = features(
        student,
        teacher,
        'released',
        **dict.fromkeys(('query', 'key', 'value'), embedding),
    )
    layer = found.layer
    weights = naive(layer.query(student), layer.key(teacher))[0]
    looks = branches_of(found, 'whole')['whole']
    wanted = weights[:, 6].reshape(4, 4)
    torch.testing.assert_close(looks.look(1, 2), wanted)
    rebuilt = weights @ layer.value(student)[0].flatten(1).T
    torch.testing.assert_close(
        looks.reconfigured(), rebuilt.T.reshape(5, 4, 4)
    )


def test_a_student_of_another_size_is_looked_at_in_its_own_map():
    student, teacher = torch.randn(1, 5, 8, 6), torch.randn(1, 5, 4, 3)
    found = features(student, teacher, 'paper', dict(whole=dict()))
    look = branches_of(found)['whole'].look(3, 2)
    wanted = naive(teacher, student)[0, 11].reshape(8, 6)
    torch.testing.assert_close(look, wanted)


@pytest.mark.parametrize('branch', list(BRANCHES))
@pytest.mark.parametrize('reading', ['matched', 'mixed'])
def test_a_table_holds_the_look_of_every_pixel(branch, reading):
    student, teacher = torch.randn(2, 1, 5, 4, 4)
    found = features(student, teacher, 'released')
    looks = branches_of(found)[branch]
    table = looks.table(reading, 1024)
    for y in range(4):
        for x in range(4):
            group, token = table.teacher.token(y, x)
            spread = table.student.spread(table.weights[group, token], group)
            torch.testing.assert_close(
                table.student.enlarge(spread),
                looks.look(y, x, reading),
                equal_nan=True,
            )


@pytest.mark.parametrize('reading', ['matched', 'mixed'])
def test_a_pooled_table_has_means_of_looks_and_sums_of_weights(reading):
    student, teacher = torch.randn(2, 1, 5, 4, 4)
    found = features(student, teacher, 'released')
    looks = branches_of(found)['whole']
    table = looks.table(reading, 4)
    assert table.weights.shape == (1, 4, 4)
    # The lower left quarter of the teacher over the right of the student.
    of = [looks.look(y, x, reading) for y in (2, 3) for x in (0, 1)]
    wanted = torch.stack(of).mean(0)[:2, 2:].sum()
    torch.testing.assert_close(table.weights[0, 2, 1], wanted)


def test_channels_are_scaled_and_tiled_in_order():
    feature = torch.stack(
        [torch.arange(6.0).reshape(2, 3) + 10 * i for i in range(5)]
    )
    feature[4] = 7
    scaled = scaled_channels(feature, 5)
    assert scaled.amax((1, 2)).tolist() == [1, 1, 1, 1, 0]
    picture = tiled(scaled, gap=1)
    assert picture.shape == (2 * 3 + 1, 3 * 4 + 1)
    assert torch.equal(picture[1:3, 5:8], scaled[1])
    assert torch.equal(picture[4:6, 5:8], scaled[4])
    assert bool(picture[0].isnan().all()) and bool(
        picture[4:, 9:].isnan().all()
    )


def test_each_predicted_class_gets_a_pixel_inside_it():
    labels = torch.zeros(20, 40, dtype=torch.long)
    labels[:, 25:] = 2
    labels[5, 5] = 1
    picture = Picture('a', np.zeros((40, 80, 3), np.uint8))
    names = ['sky', 'dust', 'grass']
    pixels = pick_pixels(picture, labels, torch.zeros(1, 1, 2, 2), names)
    # One pixel of 800 is too little to be looked at.
    assert [pixel.label for pixel in pixels] == ['sky', 'grass']
    for pixel, label in zip(pixels, (0, 2)):
        assert labels[pixel.y // 2, pixel.x // 2] == label
        assert 5 < pixel.y < 34


def test_without_classes_the_strongest_positions_are_picked_apart():
    feature = torch.zeros(1, 2, 8, 8)
    feature[0, :, 6, 1] = 5
    feature[0, :, 6, 2] = 4
    feature[0, :, 1, 6] = 3
    picture = Picture('a', np.zeros((80, 80, 3), np.uint8))
    pixels = pick_pixels(picture, None, feature)
    assert [(p.x, p.y) for p in pixels[:2]] == [(15, 65), (65, 15)]


def drawn_at(figure, axis, x, y):
    """Colours within some pixels of a place of an axis."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    across, up = axis.transData.transform((x, y))
    row, column = round(image.shape[0] - up), round(across)
    return image[row - 8 : row + 9, column - 8 : column + 9].reshape(-1, 3)


def has_colour(colours, colour):
    return bool((np.abs(colours - to_rgb(colour)).max(axis=1) < 0.02).any())


def test_the_figure_marks_pixels_where_they_are():
    found, places = constructed('released', 'whole')
    picture = Picture('a', np.full((40, 40, 3), 90, np.uint8))
    pixels = [Pixel(15, 25, 'one'), Pixel(35, 5, 'two')]
    figure = Fig4(picture, found, branches_of(found), pixels).draw()
    axes = [axis for part in figure.subfigs for axis in part.axes]
    first = axes[0]
    for pixel, colour in zip(pixels, COLOURS):
        around = drawn_at(figure, first, pixel.x, pixel.y)
        assert has_colour(around, colour)
    assert not has_colour(drawn_at(figure, first, 30, 32), COLOURS[0])
    titles = [axis.get_title() for axis in axes if axis.get_title()]
    # (15, 25) is row 2, column 1 of 4x4; whole map and patch groups agree.
    y, x = places[(2, 1)]
    wanted = f'#1  one\n(15, 25) → ({10 * x + 4.5:.0f}, {10 * y + 4.5:.0f}), 1'
    assert titles.count(wanted) == 2
    heads = [title.split('\n')[0] for title in titles[:6]]
    assert heads == [
        'a',
        'student',
        'reconfigured, whole map',
        'reconfigured, patch groups',
        'reconfigured, anchor points',
        'teacher',
    ]


def test_few_pixels_stand_below_each_other():
    found, _ = constructed('paper', 'whole')
    picture = Picture('a', np.zeros((40, 40, 3), np.uint8))
    figure = Fig4(picture, found, branches_of(found), [Pixel(1, 1)]).draw()
    shown = [axis.get_ylabel() for axis in figure.subfigs[1].axes]
    assert [one for one in shown if one] == [
        'whole map',
        'patch groups',
        'anchor points',
    ]


@MODELS.register_module()
class TokenSegmentor(ToySegmentor):
    """Passes its features on as tokens."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens = nn.Identity()

    def extract_feat(self, inputs):
        features = self.backbone(inputs)
        # (B, C, h, w) -> (B, h*w, C) -> (B, C, h, w)
        tokens = self.tokens(features.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).reshape(features.shape)


def test_tokens_are_looked_at_as_the_map_that_they_are():
    tat = dict(
        type='mmtat.TaTDistiller', layers=['tokens'], input_size=(16, 24)
    )
    kind = dict(type='TokenSegmentor')
    model = distillation(tat, student=kind, teacher=kind)
    algorithm = MODELS.build(model)
    images = torch.rand(1, 3, 16, 24)
    found = layer_features(algorithm, images, images, 0)
    with torch.no_grad():
        wanted = algorithm.student.eval().backbone(images)
    torch.testing.assert_close(found.student, wanted)
    assert found.teacher.shape == (1, 8, 8, 12)
    assert branches_of(found)['whole'].look(7, 11).shape == (8, 12)


@pytest.mark.parametrize(
    'name, size',
    [('demo/digit_scenes_tat.py', (80, 80)), ('digits/digits_tat.py', None)],
)
def test_images_have_the_size_of_the_training(name, size):
    unsaid = {'model.distiller.input_size': None}
    config = read_config(str(CONFIG.parents[1] / name), unsaid)
    assert crop_of(built(config), config) == size
    told = 'training crop, 80×80' if size else 'has its own size'
    assert told in resizing_of(size)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return DistilledRun(tmp_path_factory.mktemp('run'))


def draw(run, out, *images, config=(), **options):
    options = dict(dict(teacher_ckpt=str(run.teacher)), **options)
    checkpoint = options.pop('checkpoint', run.checkpoint)
    images = images or [run.image()]
    return draw_maps(
        read_config(str(CONFIG), dict(config)),
        str(checkpoint),
        list(map(str, images)),
        out,
        **options,
    )


def test_maps_of_a_run_are_drawn(run, tmp_path, capsys):
    before = {
        path: path.read_bytes() for path in (run.checkpoint, run.teacher)
    }
    files = draw(
        run,
        tmp_path / 'new' / 'maps',
        run.image(0),
        run.image(1),
        pixels=['3,4', '30,20'],
        html=True,
        config={WHOLE: 1.0},
    )
    assert [file.name for file in files] == [
        'val_00000.png',
        'val_00001.png',
        'maps.html',
    ]
    for file in files[:2]:
        pixels = np.asarray(Image.open(file).convert('RGB'))
        assert min(pixels.shape[:2]) > 600
        assert pixels.std() > 20
    assert 'maps.html holds' in capsys.readouterr().out
    assert all(path.read_bytes() == old for path, old in before.items())
    assert not list(tmp_path.rglob('*.tmp'))


def test_two_images_of_one_name_get_two_files(run, tmp_path):
    other = tmp_path / 'other' / 'val_00000.png'
    other.parent.mkdir()
    Image.new('RGB', (30, 50), 'teal').save(other)
    files = draw(
        run, tmp_path / 'out', run.image(), other, branch='anchor_point'
    )
    names = [file.name for file in files]
    assert names == ['val_00000.png', 'val_00000_2.png']


def bad(tmp_path, run):
    """What a user may give, and what is said of it."""
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.png').write_bytes(b'')
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'other.pth')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'val_00000.png').write_text('mine')
    return {
        'no such image': (dict(images=['gone.jpg']), "'gone.jpg' cannot be"),
        'no image': (
            dict(images=[tmp_path / 'text.jpg']),
            'is no image that can be decoded',
        ),
        'empty image': (
            dict(images=[tmp_path / 'empty.png']),
            'is no image that can be decoded',
        ),
        'pixel outside': (
            dict(pixels=['40,3']),
            'pixel 40,3 is outside val_00000, which is 40 wide and 40 high',
        ),
        'pixel misspelt': (dict(pixels=['3;4']), "--pixel must be x,y.*'3;4'"),
        'layer': (dict(layer=1), 'layer: there is no 1; there are 0: decode'),
        'branch': (
            dict(branch='hole'),
            "distils no 'hole'; there are patch_group, anchor_point",
        ),
        'reading': (dict(reading='read'), 'must be one of matched, mixed'),
        'another model': (
            dict(checkpoint=tmp_path / 'other.pth'),
            'is of another model than EncoderDecoder: 0 of its',
        ),
        'student alone': (
            dict(checkpoint=run.alone),
            "has no entry 'distiller'",
        ),
        'another teacher': (
            dict(teacher_ckpt=str(run.alone)),
            'is not this teacher',
        ),
        'no teacher': (
            dict(teacher_ckpt=None, config={'model.teacher_ckpt': None}),
            'give --teacher-ckpt FILE',
        ),
        'there already': (
            dict(out=tmp_path / 'out'),
            'val_00000.png.* exists; --force writes over it',
        ),
        'folder is a file': (
            dict(out=tmp_path / 'text.jpg'),
            'is a file, not a folder',
        ),
    }


@pytest.mark.parametrize(
    'case',
    [
        'no such image',
        'no image',
        'empty image',
        'pixel outside',
        'pixel misspelt',
        'layer',
        'branch',
        'reading',
        'another model',
        'student alone',
        'another teacher',
        'no teacher',
        'there already',
        'folder is a file',
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(
    run, tmp_path, case
):
    options, message = bad(tmp_path, run)[case]
    options = dict(dict(out=tmp_path / 'fresh'), **options)
    before = sorted(tmp_path.rglob('*'))
    images = options.pop('images', [run.image()])
    with pytest.raises(ValueError, match=message):
        draw(run, options.pop('out'), *images, **options)
    assert sorted(tmp_path.rglob('*')) == before
    assert (tmp_path / 'out' / 'val_00000.png').read_text() == 'mine'


def test_force_writes_over(run, tmp_path):
    (tmp_path / 'val_00000.png').write_text('old')
    draw(run, tmp_path, force=True, branch='anchor_point')
    assert Image.open(tmp_path / 'val_00000.png').size[0] > 600


def test_a_config_without_a_teacher_has_no_maps(run, tmp_path):
    config = read_config(str(CONFIG.with_name('digit_scenes_student.py')))
    with pytest.raises(ValueError, match='its model is no distillation'):
        draw_maps(config, str(run.checkpoint), [str(run.image())], tmp_path)
