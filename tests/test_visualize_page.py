import json
import re
import shutil

import numpy as np
import pytest
import torch

from mmtat.engine.inspected import read_config
from mmtat.engine.visualization.images import Picture
from mmtat.engine.visualization.looker import Looked
from mmtat.engine.visualization.looks import branches_of
from mmtat.engine.visualization.maps import draw_maps
from mmtat.engine.visualization.page import page_of, picture_data
from mmtat.engine.visualization.pixels import Pixel

from .distilled import CONFIG, WHOLE, DistilledRun
from .test_visualize_maps import constructed, features


def looked(formulation='released', branch='whole', name='a', labels=None):
    """A constructed image of 80x40, and the places its pixels look at."""
    found, places = constructed(formulation, branch)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    picture = Picture(name, pixels)
    seen = Looked(picture, found, branches_of(found), [Pixel(5, 5)], labels)
    return seen, places


def write(path, *seen, most=1024, classes=()):
    data = [picture_data(one, classes, most) for one in seen]
    path.write_text(page_of(data, 'a subject', 'a note'))
    return path


def test_a_page_is_one_file_that_names_no_other(tmp_path):
    text = write(tmp_path / 'maps.html', looked()[0]).read_text()
    sources = re.findall(r'\s(?:src|href)="([^"]*)"', text)
    assert sources and 'url(' not in text
    assert all(source.startswith('data:') for source in sources)
    assert 'http:' not in text and 'https:' not in text
    assert "default-src 'none'" in text


def test_equal_maps_give_equal_pages(tmp_path):
    first = write(tmp_path / 'a.html', looked()[0]).read_bytes()
    assert write(tmp_path / 'b.html', looked()[0]).read_bytes() == first


def test_a_page_says_what_was_pooled_and_how_large_it_is():
    student, teacher = torch.randn(2, 1, 5, 8, 8)
    found = features(student, teacher, 'paper', dict(whole=dict()))
    picture = Picture('a', np.zeros((32, 32, 3), np.uint8))
    seen = Looked(picture, found, branches_of(found), [Pixel(1, 1)], None)
    data = picture_data(seen, (), 16)
    # Beside the map, where nobody has to look for it.
    assert data['branches'][0]['pooled'] == '; 8×8 pooled to 4×4'
    text = page_of([data], 'subject', 'Resized.')
    assert "the teacher's 8×8 positions are pooled to 4×4" in decoded(text)
    assert 'Resized.' in text
    assert re.search(r'take \d+\.\d MB; nothing is fetched', text)


def decoded(text):
    return re.sub(
        r'\\u([0-9a-f]{4})', lambda match: chr(int(match[1], 16)), text
    )


def test_a_name_cannot_leave_its_script(tmp_path):
    seen, _ = looked(name='</script><img src=x>')
    text = write(tmp_path / 'maps.html', seen).read_text()
    assert '<img src=x>' not in text


@pytest.fixture(scope='module')
def chromium():
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which('chromium')
        )
        yield browser
        browser.close()


class Opened:
    """A page in a browser, and what went wrong in it."""

    def __init__(self, browser, path, **context):
        self.page = browser.new_context(
            **dict(dict(viewport=dict(width=1100, height=900)), **context)
        ).new_page()
        self.requests, self.errors = [], []
        self.page.on('request', lambda one: self.requests.append(one.url))
        self.page.on('pageerror', lambda one: self.errors.append(str(one)))
        self.page.on(
            'console',
            lambda one: one.type == 'error' and self.errors.append(one.text),
        )
        self.page.goto(path.as_uri())
        self.wait('looks')

    def status(self):
        return self.page.inner_text('#status')

    def until(self, expression):
        """Wait until something is true; the page itself forbids eval."""
        for _ in range(100):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f'{expression} in {self.status()!r}')

    def wait(self, text, name='status'):
        self.until(
            f'document.getElementById({name!r}).textContent'
            f'.includes({json.dumps(text)})'
        )

    def point(self, x, y):
        """Move the mouse to a pixel of the image of 80x40."""
        box = self.page.locator('#image').bounding_box()
        self.page.mouse.move(
            box['x'] + (x + 0.5) * box['width'] / 80,
            box['y'] + (y + 0.5) * box['height'] / 40,
        )
        self.wait(f'({x}, {y})')

    def choose(self, text):
        self.page.get_by_text(text, exact=True).click()

    def heat(self):
        """(rows, columns, RGBA) of the map that is shown."""
        rows, columns, values = self.page.evaluate(
            """() => {
                const one = document.querySelector('#look canvas');
                const all = one.getContext('2d').getImageData(
                    0, 0, one.width, one.height);
                return [one.height, one.width, Array.from(all.data)];
            }"""
        )
        return np.array(values).reshape(rows, columns, 4)

    def brightest(self):
        heat = self.heat()
        flat = heat[..., :3].sum(-1) * (heat[..., 3] > 220)
        return np.unravel_index(int(flat.argmax()), flat.shape)


BROWSER = pytest.mark.browser


@BROWSER
@pytest.mark.parametrize('formulation', ['released', 'paper'])
@pytest.mark.parametrize(
    'branch, title',
    [
        ('whole', 'whole map'),
        ('patch_group', 'patch groups'),
        ('anchor_point', 'anchor points'),
    ],
)
def test_a_pointer_asks_where_its_pixel_looks(
    tmp_path, chromium, formulation, branch, title
):
    seen, places = looked(formulation, branch)
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen))
    opened.choose(title)
    side = 2 if branch == 'anchor_point' else 1
    for (y, x), place in list(places.items())[::3]:
        opened.point(20 * x + 9, 10 * y + 6)
        # The heat has a pixel for each token, the image 20x10 for each
        # position.
        bright = opened.brightest()
        assert bright == (place[0] // side, place[1] // side) or (
            branch == 'patch_group' and bright == (place[0], place[1] % 2)
        )
        middle = (
            int((bright[1] + 0.5) * 20 * side),
            int((bright[0] + 0.5) * 10 * side),
        )
        assert f'looks most at ({middle[0]}, {middle[1]})' in opened.status()
        assert 'weight 1.0' in opened.status()
    assert opened.errors == []
    address = (tmp_path / 'maps.html').as_uri()
    assert [u for u in opened.requests if not u.startswith('data:')] == [
        address
    ]


@BROWSER
def test_arrow_keys_move_the_pixel(tmp_path, chromium):
    seen, _ = looked()
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen))
    page = opened.page
    page.focus('#image')
    for key, where in (
        ('ArrowRight', '(30, 5)'),
        ('ArrowDown', '(30, 15)'),
        ('ArrowLeft', '(10, 15)'),
        ('ArrowLeft', '(10, 15)'),
        ('Shift+ArrowRight', '(70, 15)'),
        ('Shift+ArrowDown', '(70, 35)'),
        ('ArrowUp', '(70, 25)'),
    ):
        page.keyboard.press(key)
        opened.wait(f"Teacher's pixel {where}")
    # Told to who does not see, in a region that says so.
    opened.wait('(70, 25)', 'live')
    live = page.locator('#live')
    assert live.get_attribute('aria-live') == 'polite'
    assert re.search(r'looks most at \(\d+, \d+\)', live.inner_text())
    # A step of anchors is two positions wide.
    opened.choose('anchor points')
    page.focus('#image')
    page.keyboard.press('ArrowLeft')
    opened.wait("Teacher's pixel (20, 25)")


@BROWSER
def test_everything_is_reached_and_chosen_by_the_keyboard(tmp_path, chromium):
    seen, other = looked()[0], looked(name='b')[0]
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen, other))
    page = opened.page
    reached = []
    for _ in range(5):
        page.keyboard.press('Tab')
        reached.append(
            page.evaluate(
                """() => {
                    const one = document.activeElement;
                    const shown = one.type === 'radio' ? one.parentElement
                        : one;
                    const style = getComputedStyle(shown);
                    return [one.id || one.name || one.tagName,
                        style.outlineStyle !== 'none' &&
                        parseFloat(style.outlineWidth) >= 1];
                }"""
            )
        )
    names = [name for name, _ in reached]
    assert names == ['picture', 'branch', 'reading', 'image', 'SUMMARY']
    assert all(visible for _, visible in reached)
    page.focus('input[name=branch]:checked')
    page.keyboard.press('ArrowRight')
    opened.until(
        "document.querySelector('input[name=branch]:checked').value === '1'"
    )
    # Choosing leaves the focus where it was.
    page.keyboard.press('ArrowRight')
    opened.until(
        "document.querySelector('input[name=branch]:checked').value === '2'"
    )
    page.select_option('#picture', '1')
    assert 'in b (80×40)' in page.inner_text('#caption')
    assert opened.errors == []


@BROWSER
def test_the_other_reading_turns_the_look_round(tmp_path, chromium):
    seen, places = looked()
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen))
    opened.choose('rebuilding the pixel')
    y, x = places[(1, 2)]
    opened.point(20 * x + 9, 10 * y + 6)
    assert opened.brightest() == (1, 2)
    assert 'rebuilt from' in opened.page.inner_text('#told')


@BROWSER
def test_the_paper_has_one_reading(tmp_path, chromium):
    seen, _ = looked('paper')
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen))
    assert not opened.page.is_visible('#readings')


@BROWSER
def test_pixels_that_a_branch_cuts_off_are_told(tmp_path, chromium):
    student, teacher = torch.randn(2, 1, 5, 5, 5)
    found = features(
        student, teacher, 'paper', dict(patch_group=dict(patches=(2, 2)))
    )
    picture = Picture('a', np.zeros((40, 80, 3), np.uint8))
    seen = Looked(picture, found, branches_of(found), [Pixel(1, 1)], None)
    opened = Opened(chromium, write(tmp_path / 'maps.html', seen))
    opened.point(70, 5)
    assert 'this branch cuts it off' in opened.status()
    assert not opened.page.is_visible('.peak')
    opened.point(5, 5)
    assert opened.page.is_visible('.peak')


@BROWSER
def test_the_class_of_a_pixel_is_told(tmp_path, chromium):
    labels = torch.zeros(40, 80, dtype=torch.long)
    labels[:, 40:] = 7
    seen, _ = looked(labels=labels)
    names = [f'class {i}' for i in range(7)] + ['cat']
    path = write(tmp_path / 'maps.html', seen, classes=names)
    opened = Opened(chromium, path)
    opened.point(75, 5)
    assert '(75, 5), cat: looks' in opened.status()
    opened.point(5, 5)
    assert '(5, 5), class 0: looks' in opened.status()


def luminance(colour):
    """Relative luminance as the accessibility guidelines define it."""
    numbers = [int(one) / 255 for one in re.findall(r'\d+', colour)[:3]]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4
        for one in numbers
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@BROWSER
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1100])
def test_text_is_legible(tmp_path, chromium, scheme, width):
    path = write(tmp_path / 'maps.html', looked()[0])
    opened = Opened(
        chromium,
        path,
        color_scheme=scheme,
        viewport=dict(width=width, height=800),
    )
    colours = opened.page.evaluate(
        """() => ['#status', '#help', 'legend', 'figcaption', 'h1'].map(
            (one) => getComputedStyle(document.querySelector(one)).color)
            .concat(getComputedStyle(document.body).backgroundColor)"""
    )
    ground = luminance(colours[-1])
    assert (ground > 0.5) == (scheme == 'light')
    for colour in colours[:-1]:
        low, high = sorted([ground, luminance(colour)])
        assert (high + 0.05) / (low + 0.05) > 4.5
    # Nothing is wider than the window.
    assert opened.page.evaluate('document.body.scrollWidth') <= width


@BROWSER
def test_a_page_of_a_run_works(tmp_path, chromium):
    run = DistilledRun(tmp_path)
    *_, page = draw_maps(
        read_config(str(CONFIG), {WHOLE: 1.0}),
        str(run.checkpoint),
        [str(run.image())],
        tmp_path / 'out',
        pixels=['3,4'],
        teacher_ckpt=str(run.teacher),
        html=True,
    )
    assert page.stat().st_size < 2e6
    opened = Opened(chromium, page)
    assert opened.status().startswith("Teacher's pixel (3, 4), ")
    for title, size in (
        ('patch groups', (20, 20)),
        ('anchor points', (10, 10)),
        ('whole map', (20, 20)),
    ):
        opened.choose(title)
        opened.until(
            f"document.querySelector('#look canvas').width === {size[1]}"
        )
        assert opened.heat().shape == (*size, 4)
    opened.page.click('summary')
    notes = opened.page.inner_text('#notes')
    assert 'resized to the training crop, 80×80' in notes
    assert opened.errors == []
