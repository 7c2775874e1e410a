"""The target-aware loss on the attention kernels that torch brings."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .backend import Backend, common_dtype, refusal_of_transforms

#: All but the one of plain products, which would build the whole map.
_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
]
#: Widths of CUDA's kernels are multiples of it in half precision.
_MULTIPLE = 8
#: Of a GPU whose kernels know bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


def _loss(query: Tensor, key: Tensor, value: Tensor, target: Tensor) -> Tensor:
    dtype = _kernel_dtype(query, key, value)
    width = max(query.shape[1], value.shape[1])
    if query.is_cuda:
        width = -(-width // _MULTIPLE) * _MULTIPLE
    # Autocast would take float32 logits for half precision's.
    with torch.autocast(query.device.type, enabled=False):
        with sdpa_kernel(_KERNELS):
            out = F.scaled_dot_product_attention(
                _as_tokens(query, width, dtype),
                _as_tokens(key, width, dtype),
                _as_tokens(value, width, dtype),
                scale=1.0,
            )
        # (N, 1, Lq, width) -> (N, Cv, Lq)
        out = out.squeeze(1).transpose(1, 2)[:, : value.shape[1]]
        out = out.to(common_dtype(out))
        # (N, Cv, Hq, Wq) -> (N, Cv, Lq)
        return F.mse_loss(out, target.flatten(2).to(out.dtype))


def _kernel_dtype(*maps: Tensor) -> torch.dtype:
    """bfloat16 where all maps are: the kernels add up in float32.

    float16 is computed in float32: a gradient of the mean over a large map
    is beyond the range that the kernels would keep it in.
    """
    if all(feature.dtype == torch.bfloat16 for feature in maps):
        return torch.bfloat16
    return common_dtype(*maps)


def _as_tokens(feature: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """One head of rows of ``width``; columns of zeros change no product."""
    # (N, C, H, W) -> (N, 1, H*W, C)
    tokens = feature.to(dtype).flatten(2).transpose(1, 2).unsqueeze(1)
    if tokens.shape[-1] < width:
        # (N, 1, H*W, C) -> (N, 1, H*W, width)
        return F.pad(tokens, (0, width - tokens.shape[-1]))
    if tokens.stride(-1) != 1:
        # A width of 1 is contiguous whatever its stride, but not to kernels.
        return tokens.clone(memory_format=torch.contiguous_format)
    return tokens.contiguous()


def _refusal(query: Tensor, key: Tensor, value: Tensor) -> Optional[str]:
    device = query.device
    if device.type not in ('cpu', 'cuda'):
        return (
            f'no attention kernel of torch is known on {device.type!r} that '
            'does not build the whole map'
        )
    if device.type == 'cpu':
        return refusal_of_transforms()
    dtype = _kernel_dtype(query, key, value)
    if dtype == torch.float64:
        return "CUDA's attention kernels know no float64"
    if (
        dtype == torch.bfloat16
        and torch.cuda.get_device_capability(device) < _BFLOAT16_CAPABILITY
    ):
        return "this GPU's attention kernels know no bfloat16"
    return refusal_of_transforms()


#: Fused in the kernels of torch, the math path shut. bfloat16 maps are
#: attended in bfloat16 with sums in float32, all others in float32 or
#: float64; the gradient comes by recomputation.
SDPA = Backend('sdpa', _loss, _refusal)
