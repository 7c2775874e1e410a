"""What is wrong with the files of a sample."""

import copy
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from PIL import Image

from . import headers, pictures
from .expected import Expected
from .finding import Finding, Kind
from .labels import is_all_ignored, wrong_label, wrong_pixels
from .pictures import Unfit

Size = Tuple[int, int]


def findings_of(
    info: Dict[str, Any], expected: Expected, whole: bool = True
) -> List[Finding]:
    """Look into the files of a sample, and at the label of an image.

    Args:
        info (dict): Of the dataset's ``get_data_info``: ``img_path``,
            ``seg_map_path``, ``gt_label``; what it lacks is not looked at.
        expected (Expected): Of the dataset.
        whole (bool): Whether everything is decoded. Otherwise headers and
            last bytes are read, of local files, and masks' labels are not
            looked at.

    Returns:
        list[Finding]: Faults and notes; empty where all is well.

    Raises:
        FaultyDataError: A file backend's package is not installed.
    """
    findings: List[Finding] = []
    image = _checked(_image, info, 'img_path', expected, whole, findings)
    mask = _checked(_mask, info, 'seg_map_path', expected, whole, findings)
    if None not in (image, mask) and image != mask:
        reason = f'the image is {_shown(image)}, the mask {_shown(mask)}'
        findings.append(Finding(Kind.SIZE, info['seg_map_path'], reason))
    if 'gt_label' in info:
        wrong = wrong_label(info['gt_label'], expected)
        if wrong:
            name = str(info.get('img_path', f'sample {info["sample_idx"]}'))
            findings.append(Finding(Kind.LABELS, name, wrong))
    return findings


def _checked(
    look: Any,
    info: Dict[str, Any],
    key: str,
    expected: Expected,
    whole: bool,
    findings: List[Finding],
) -> Optional[Size]:
    """Width and height of a file that can be read, and what is wrong."""
    path = info.get(key)
    loader = expected.image if key == 'img_path' else expected.mask
    # A dataset may hold its images in memory, under names that are no files.
    if loader is None or not isinstance(path, str):
        return None
    if not whole and not pictures.is_local(path, loader):
        return None
    try:
        with pictures.opened(path, loader, whole) as stream:
            image = pictures.picture(stream, path, loader, whole)
            if image is None:
                return None
            with pictures.decoding(path):
                depth = headers.bits(image, stream)
                findings += look(path, image, depth, expected, whole)
                size = headers.size_as_loaded(image, loader)
    except Unfit as unfit:
        findings.append(unfit.finding)
        return None
    if whole and key == 'seg_map_path':
        findings += _label_findings(info, expected, findings)
    return size


def _image(
    path: str, image: Image.Image, depth: int, expected: Expected, whole: bool
) -> List[Finding]:
    findings = []
    turned = headers.orientation(image, expected.image)
    if turned != 1 and expected.mask is not None:
        reason = f'orientation {turned}, which its mask must follow'
        findings.append(Finding(Kind.TURNED, path, reason, is_fault=False))
    if not expected.is_colour:
        return findings
    if depth > 8:
        reason = f'{depth} bits a channel, of which loading keeps 8'
        findings.append(Finding(Kind.DEEP, path, reason))
    elif image.mode == 'CMYK':
        reason = 'loading turns it into RGB without its colour profile'
        findings.append(Finding(Kind.CMYK, path, reason))
    elif image.mode in ('1', 'L'):
        reason = 'three equal channels are made of it'
        findings.append(Finding(Kind.GREY, path, reason, is_fault=False))
    elif 'A' in image.getbands() or 'transparency' in image.info:
        findings += _alpha(path, image, whole)
    elif image.mode == 'P':
        reason = 'its colours are looked up'
        findings.append(Finding(Kind.PALETTE, path, reason, is_fault=False))
    return findings


def _alpha(path: str, image: Image.Image, whole: bool) -> List[Finding]:
    if not whole:
        return []
    alpha = np.asarray(image.convert('RGBA'))[..., 3]
    if (alpha == 255).all():
        reason = 'it is dropped'
        return [Finding(Kind.ALPHA, path, reason, is_fault=False)]
    reason = (
        f'{(alpha < 255).sum()} of {alpha.size} pixels; loading shows what '
        'they hide'
    )
    return [Finding(Kind.TRANSPARENT, path, reason)]


def _mask(
    path: str, mask: Image.Image, depth: int, expected: Expected, whole: bool
) -> List[Finding]:
    decoder = expected.mask.imdecode_backend
    if mask.mode == 'P' and decoder == 'cv2':
        reason = "a palette, which imdecode_backend='cv2' turns into colours"
        return [Finding(Kind.COLOUR_MASK, path, reason)]
    is_index = mask.mode in ('1', 'L', 'P', 'I')
    if not is_index and not mask.mode.startswith('I;16'):
        reason = f'{mask.mode}, where one label a pixel is expected'
        return [Finding(Kind.COLOUR_MASK, path, reason)]
    if depth > 8:
        labels = np.asarray(mask)
        if labels.min() < 0 or labels.max() > 255:
            worst = labels.max() if labels.max() > 255 else labels.min()
            reason = (
                f'label {worst}, of which loading keeps a byte, '
                f'{int(worst) % 256}'
            )
            return [Finding(Kind.DEEP, path, reason)]
    return []


def _label_findings(
    info: Dict[str, Any], expected: Expected, found: List[Finding]
) -> List[Finding]:
    path = info['seg_map_path']
    if any(f.path == path and f.is_fault for f in found):
        return []
    loaded = dict(copy.deepcopy(info), seg_fields=[])
    try:
        # As the run does: with its zero label, its map of labels, ...
        mask = expected.mask.transform(loaded)['gt_seg_map']
    except Exception as error:
        return [Finding(Kind.UNREADABLE, path, pictures.told(error))]
    wrong = wrong_pixels(mask, expected)
    if wrong:
        return [Finding(Kind.LABELS, path, wrong)]
    if is_all_ignored(mask, expected):
        reason = f'every label is {expected.ignored}'
        return [Finding(Kind.IGNORED, path, reason)]
    return []


def _shown(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
