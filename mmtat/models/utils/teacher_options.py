"""What may be asked of the teacher's forward, for speed."""

import difflib
from dataclasses import dataclass, fields
from typing import Any, Dict, Optional, Union

import torch

#: The precisions that a teacher may be run in.
DTYPES = dict(
    float32=torch.float32,
    bfloat16=torch.bfloat16,
    float16=torch.float16,
)


@dataclass(frozen=True)
class TeacherOptions:
    """How a frozen teacher is run; nothing of it changes the teacher itself.

    What a distiller gets is the same with every option, up to rounding, and
    of the dtype that it has without; maps are contiguous.

    Attributes:
        dtype (str | None): Run under autocast to 'bfloat16' or 'float16',
            or in 'float32' whatever the step does; its convolutions and
            linear layers keep a copy of their weights in half precision.
            None follows the step: float32, or what AMP says. Defaults to
            None, because it changes results beyond rounding. Measure it on
            a CPU: SegFormer's attention was slower in bfloat16.
        channels_last (bool | None): Give the teacher images in
            ``torch.channels_last``. None does on a CPU, and on a GPU in
            half precision. Defaults to None.
        compile (bool | dict): ``torch.compile`` the largest parts that hold
            no recorded layer inside, with these arguments. Defaults to
            False, because the first step then takes minutes; on a CPU it
            gained nothing over the other defaults.
        fold_norms (bool): Let convolutions do the work of the batch norms
            behind them. Defaults to True.
        stream (bool): Run on a CUDA stream of its own, beside the student.
            Defaults to False; never measured.
    """

    dtype: Optional[str] = None
    channels_last: Optional[bool] = None
    compile: Union[bool, Dict[str, Any]] = False
    fold_norms: bool = True
    stream: bool = False

    @classmethod
    def from_config(cls, config: Optional[Dict[str, Any]]) -> 'TeacherOptions':
        """Read and check ``teacher_options``.

        Args:
            config (dict, optional): Options by their names.

        Returns:
            TeacherOptions: They, and the defaults of the others.

        Raises:
            TypeError: Not a dict.
            ValueError: An unknown option, or a value that it cannot have;
                names close matches.
        """
        if not isinstance(config, (dict, type(None))):
            raise TypeError(
                'teacher_options must be a dict, such as '
                f"dict(dtype='bfloat16'), got {config!r}"
            )
        names = [field.name for field in fields(cls)]
        for name, value in (config or {}).items():
            if name not in names:
                raise ValueError(
                    f'teacher_options has no option {name!r}; '
                    f'{_hint(name, names)}there are {", ".join(names)}'
                )
            _check(name, value)
        return cls(**(config or {}))

    @property
    def torch_dtype(self) -> Optional[torch.dtype]:
        """The dtype that is asked for, or None."""
        return None if self.dtype is None else DTYPES[self.dtype]


def _check(name: str, value: Any) -> None:
    if name == 'dtype':
        if value is not None and value not in [*DTYPES]:
            raise ValueError(
                'teacher_options: dtype must be None or one of '
                f'{", ".join(map(repr, DTYPES))}, got {value!r}'
                f'{_suffix(value)}'
            )
        return
    also = dict(
        channels_last=(type(None), ' or None'),
        compile=(dict, ' or a dict of arguments for torch.compile'),
    )
    kind, words = also.get(name, (bool, ''))
    if not isinstance(value, (bool, kind)):
        raise ValueError(
            f'teacher_options: {name} must be True or False{words}, got '
            f'{value!r}'
        )


def _hint(name: Any, names: Any) -> str:
    close = difflib.get_close_matches(str(name), names, n=1)
    return f'did you mean {close[0]!r}? ' if close else ''


def _suffix(value: Any) -> str:
    hint = _hint(str(value).removeprefix('torch.'), DTYPES)
    return f'; {hint.strip()}' if hint else ''
