# Overhaul of feature distillation: partial squared error before the ReLU,
# behind a margin from the norm (Heo et al., ICCV 2019), by mmrazor. The tapped
# layer of the teacher is a batch norm.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(
        type='ConvModuleConnector', norm_cfg=dict(type='BN'), act_cfg=None
    ),
    teacher_connector=dict(type='OFDTeacherConnector'),
    losses=dict(loss_ofd=dict(type='OFDLoss')),
)
