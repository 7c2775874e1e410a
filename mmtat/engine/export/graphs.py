"""Files that hold the computation: TorchScript and ONNX.

Both come of one trace. ``torch.onnx.export`` has two exporters; the newer
(``dynamo=True``) changed its arguments and its needs between torch 2.4 and
2.11 and needs onnxscript. The older traces, is there in all of these
versions, and follows what TorchScript does.
"""

import contextlib
import inspect
import io
import json
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator

import torch
from torch import Tensor

from mmtat.version import __version__

from ..plain import to_plain
from .formats import Content, Network
from .pooling import ExportablePooling

#: LayerNorm is one operator from here on; onnxruntime reads it since 1.12.
OPSET = 17
INPUT = 'image'


def write_torchscript(
    content: Content, path: Path, example: Tensor, axes: Dict[int, str]
) -> None:
    """Trace the network, and save it with its config.

    Args:
        content (Content): The student.
        path (Path): The file.
        example (Tensor): (N, C, H, W), to trace with.
        axes (dict[int, str]): Unused: a trace has no fixed sizes of its own.

    Raises:
        ValueError: The network cannot be traced.
    """
    with _quiet(), _as_user_error('torchscript'), torch.no_grad():
        traced = torch.jit.trace(content.network, example, check_trace=False)
    files = {name: text.encode() for name, text in _texts(content).items()}
    torch.jit.save(traced, str(path), files)


def read_torchscript(content: Content, path: Path) -> Network:
    """Load it again.

    Args:
        content (Content): Unused.
        path (Path): Of :func:`write_torchscript`.

    Returns:
        Callable: The network.
    """
    return torch.jit.load(str(path), 'cpu').eval()


def write_onnx(
    content: Content, path: Path, example: Tensor, axes: Dict[int, str]
) -> None:
    """Export the network with its config as metadata.

    Args:
        content (Content): The student.
        path (Path): The file.
        example (Tensor): (N, C, H, W), to trace with.
        axes (dict[int, str]): Names of the axes whose size may vary.

    Raises:
        ValueError: An operator of the network has no form in ONNX.
    """
    import onnx

    network = content.network
    output = 'labels' if network.argmax else network.network.output
    is_map = network.network.kind == 'segmentation'
    # Labels have no axis of classes.
    shift = 1 if network.argmax else 0
    of_output = {
        axis - shift if axis else 0: name
        for axis, name in axes.items()
        if axis == 0 or is_map
    }
    with _quiet(), _as_user_error('onnx'), ExportablePooling():
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=[output],
            dynamic_axes={INPUT: axes, output: of_output},
            opset_version=OPSET,
            **_older_exporter(),
        )
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    onnx.helper.set_model_props(model, _texts(content))
    onnx.save(model, str(path))


def read_onnx(content: Content, path: Path) -> Network:
    """Load it in onnxruntime.

    Args:
        content (Content): Unused.
        path (Path): Of :func:`write_onnx`.

    Returns:
        Callable: The network.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors are raised; what it warns of is of no use here.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider']
    )

    def run(inputs: Tensor) -> Tensor:
        # Its errors are not of one class that is public.
        try:
            outputs = session.run(None, {INPUT: inputs.numpy()})
        except Exception as error:
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(outputs[0])

    return run


def _older_exporter() -> Dict[str, Any]:
    known = inspect.signature(torch.onnx.export).parameters
    return dict(dynamo=False) if 'dynamo' in known else {}


def _texts(content: Content) -> Dict[str, str]:
    return dict(
        config=content.config,
        meta=json.dumps(to_plain(content.meta)),
        mmtat_version=__version__,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what a trace says of every size that it reads."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        yield


@contextlib.contextmanager
def _as_user_error(format: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        reason = str(error).strip().split('\n')[0]
        raise ValueError(
            f'--format {format}: torch {torch.__version__} cannot export this '
            f'student: {reason}'
        ) from error
