"""Options of a test run: painted images, saved predictions, TTA."""

from mmengine.config import Config


def draw_predictions(config: Config, folder: str) -> None:
    """Save the images with their predictions painted on.

    Args:
        config (Config): Changed in place.
        folder (str): Where to.

    Raises:
        ValueError: The config has no visualization hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show-dir needs default_hooks.visualization in the config, '
            "such as dict(type='SegVisualizationHook')"
        )
    if hook.type == 'VisualizationHook':
        # mmpretrain's hook has a folder of its own, and draws single views.
        if config.test_dataloader.dataset.pipeline[-1].type == 'TestTimeAug':
            raise ValueError(
                '--show-dir cannot draw the views of --tta for a classifier; '
                'leave one of them out'
            )
        hook.update(enable=True, interval=1, out_dir=folder)
    else:
        hook.update(draw=True, interval=1)
        config.visualizer.save_dir = folder


def save_predictions(config: Config, out: str) -> None:
    """Save the predictions of a test run.

    Args:
        config (Config): Changed in place.
        out (str): A folder for segmentation, a .pkl file otherwise.

    Raises:
        ValueError: A file of another kind.
    """
    evaluator = config.get('test_evaluator')
    if evaluator is None:
        raise ValueError(
            '--out needs test_evaluator in the config, beside which the '
            'predictions are saved'
        )
    single = not isinstance(evaluator, (list, tuple))
    if single and evaluator.type == 'IoUMetric':
        evaluator.update(output_dir=out, keep_results=True)
        return
    if not out.endswith('.pkl'):
        raise ValueError(f'--out must be a .pkl file here, got {out!r}')
    metrics = [evaluator] if single else list(evaluator)
    dump = dict(type='mmengine.DumpResults', out_file_path=out)
    config.test_evaluator = metrics + [dump]


def use_tta(config: Config) -> None:
    """Test with the config's test-time augmentation.

    Args:
        config (Config): Changed in place; mmpretrain's configs that define
            none get a horizontal flip.

    Raises:
        ValueError: The config defines none.
    """
    is_classifier = config.get('default_scope') == 'mmpretrain'
    if 'tta_model' not in config and is_classifier:
        config.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in config and is_classifier:
        pipeline = list(config.test_dataloader.dataset.pipeline)
        flips = [
            dict(type='mmpretrain.RandomFlip', prob=prob)
            for prob in (1.0, 0.0)
        ]
        augmented = dict(
            type='TestTimeAug', transforms=[flips, [pipeline[-1]]]
        )
        config.tta_pipeline = pipeline[:-1] + [augmented]
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ValueError(
            '--tta needs tta_model and tta_pipeline in the config'
        )
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)
    # mmpretrain's top-level preprocessor is the student's, not the wrapper's.
    preprocessor = config.get('data_preprocessor')
    if preprocessor is not None:
        config.model['module'].setdefault('data_preprocessor', preprocessor)
        config.pop('data_preprocessor')
