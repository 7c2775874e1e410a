"""Packaging of mmtat: what it needs, and what a wheel of it carries.

``tools/setup_env.py`` reads the two requirement tables from here, so they
stay plain literals. The versions that were tested together are in
``requirements/constraints.txt``.
"""

import runpy
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

INSTALL_REQUIRES = [
    # 2.4 brought torch.serialization.add_safe_globals, without which no
    # checkpoint of mmengine loads safely. No upper bound: a newer torch is
    # tried, with one line of warning.
    'torch>=2.4',
    # Unbounded: each torchvision pins the one torch that it was built for.
    'torchvision',
    # 1.26 is the first for Python 3.12.
    'numpy>=1.26',
    # 0.10.7 is the release whose internals mmtat/compat mends; mmpretrain,
    # mmsegmentation and mmrazor refuse 1.0.
    'mmengine>=0.10.7,<1.0',
    # 1.2 is the release that was tried; the zoo's names and modules are not
    # promised to stay in 1.3.
    'mmpretrain>=1.2,<1.3',
    # 1.2.2 is the release that was tried; the zoo's names and modules are not
    # promised to stay in 1.3.
    'mmsegmentation>=1.2.2,<1.3',
    # 1.0.* is the line whose distillers and recorders mmtat extends.
    'mmrazor==1.0.*',
    # Unbounded: mmrazor imports it and forgot to declare it.
    'joblib',
    # Unbounded: mmsegmentation imports them and forgot to declare them.
    'ftfy',
    'regex',
    # Unbounded: draws the pictures, with the plainest of its functions.
    'matplotlib',
    # Unbounded: ships the handwriting that digit scenes are made of.
    'scikit-learn',
    # Unbounded: Student's t, the normal distribution, MATLAB files.
    'scipy',
    # Unbounded: reads and writes images, with the plainest of its functions.
    'pillow',
]

EXTRAS_REQUIRE = {
    # An extra, because it would overwrite the files of a full mmcv.
    'lite': [
        # 2.0.0 is the least that mmpretrain accepts, 2.1.0 the most that
        # mmrazor does.
        'mmcv-lite>=2.0.0,<=2.1.0',
    ],
    # Formats of tools/export_student.py beside torch's own.
    'export': [
        # Unbounded: their formats are versioned, and each file is checked by
        # running it.
        'onnx',
        'onnxruntime',
        'safetensors',
    ],
    'timm': [
        # Unbounded: mmpretrain's TIMMBackbone asks for create_model alone.
        'timm',
    ],
    'tensorboard': [
        # Unbounded: mmengine's TensorboardVisBackend writes by it.
        'tensorboard',
    ],
    'browser': [
        # Unbounded: drives a headless Chromium for the tests of a page.
        'playwright',
    ],
    'docs': [
        # 1.6 is the release that was tried; 2 drops the plugins that
        # mkdocs-material is made of.
        'mkdocs>=1.6,<2',
        # Unbounded: plain pages, with the plainest of its features.
        'mkdocs-material',
    ],
    'tests': [
        # Unbounded: the suite uses nothing recent.
        'pytest',
        # Unbounded: draws maps of every shape, by its oldest strategies.
        'hypothesis',
    ],
    'dev': [
        # Unbounded: requirements/constraints.txt and .pre-commit-config.yaml
        # hold the one version whose formatting is checked in.
        'ruff',
        # Unbounded: counts lines, by settings that are years old.
        'coverage',
        # Unbounded: any release reads .pre-commit-config.yaml.
        'pre-commit',
    ],
}

#: Scripts that make the checkout's own environment, useless in a wheel.
CHECKOUT_ONLY = ('setup_env.*', 'run_tests*.sh', 'demo.sh')


class BuildWithMim(build_py):
    """Put configs and tools where OpenMMLab's wheels keep them, ``.mim/``."""

    def run(self):
        super().run()
        if not self.editable_mode:  # then the checkout itself has them
            self._copy_mim(Path(self.build_lib, 'mmtat', '.mim'))

    @staticmethod
    def _copy_mim(target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        unwanted = shutil.ignore_patterns('__pycache__', *CHECKOUT_ONLY)
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, target / folder, ignore=unwanted)
        for index in ROOT.glob('model-index.yml'):
            shutil.copy2(index, target)


# A build/ in the checkout would leak files that were deleted since into the
# next wheel.
SCRATCH = tempfile.TemporaryDirectory(prefix='mmtat-build-')

setup(
    name='mmtat',
    version=runpy.run_path(str(ROOT / 'mmtat/version.py'))['__version__'],
    description='Target-aware Transformer distillation for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The mmtat contributors',
    license='Apache-2.0',
    keywords='knowledge distillation, semantic segmentation, OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['mmtat', 'mmtat.*']),
    package_data={
        'mmtat': [
            'py.typed',
            'engine/visualization/page.html',
            'ops/backends/measurements.json',
        ]
    },
    # 3.11 is the first that current numpy and scikit-learn support.
    python_requires='>=3.11',
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    cmdclass={'build_py': BuildWithMim},
    options={
        'build': {'build_base': SCRATCH.name},
        'egg_info': {'egg_base': SCRATCH.name},
    },
    zip_safe=False,
)
