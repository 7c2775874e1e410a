from .cc_loss import CCLoss
from .crd_loss import CRDLoss
from .hcl_loss import HCLLoss
from .ickd_loss import ICKDLoss
from .sp_loss import SPLoss
from .tat_loss import TaTLoss
from .vid_loss import VIDLoss
from .wkd_loss import WKDLoss

__all__ = [
    'CCLoss',
    'CRDLoss',
    'HCLLoss',
    'ICKDLoss',
    'SPLoss',
    'TaTLoss',
    'VIDLoss',
    'WKDLoss',
]
