# ReviewKD: maps fused from deep to shallow (ABF, trained), compared at several
# scales (HCL) (Chen et al., CVPR 2021).
distiller = dict(type='mmtat.ReviewKDDistiller')
