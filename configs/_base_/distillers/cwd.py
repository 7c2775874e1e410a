# Channel-wise distillation: each channel as a distribution over positions (Shu
# et al., ICCV 2021), by mmrazor.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(type='mmtat.EmbeddingConnector', norm='batch'),
    losses=dict(loss_cwd=dict(type='ChannelWiseDivergence', tau=1.0)),
)
