from .cc_loss import CCLoss
from .hcl_loss import HCLLoss
from .ickd_loss import ICKDLoss
from .sp_loss import SPLoss
from .tat_loss import TaTLoss
from .vid_loss import VIDLoss

__all__ = ['CCLoss', 'HCLLoss', 'ICKDLoss', 'SPLoss', 'TaTLoss', 'VIDLoss']
