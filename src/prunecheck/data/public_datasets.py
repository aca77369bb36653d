"""The published data sets that are known by name: where they come from and what is published about them.

Hashes of archives are the publishers'; those of the idx files' contents are of what the files with the
published MD5 hold. Means and deviations are those that published results were computed with.
"""

import functools
from pathlib import Path

from prunecheck.data.datasets import DATASETS, Augmentation, Suggestion
from prunecheck.data.layouts import ClassFolders, HashedFiles, IdxFiles
from prunecheck.data.readers.cifar import (
    CIFAR10_BINARY_FILES,
    CIFAR10_PYTHON_FILES,
    CIFAR100_BINARY_FILES,
    CIFAR100_PYTHON_FILES,
    read_cifar10_binary,
    read_cifar10_python,
    read_cifar100_binary,
    read_cifar100_python,
)
from prunecheck.data.readers.idx import read_mnist
from prunecheck.data.readers.tiny_imagenet import read_tiny_imagenet, tiny_imagenet_is_complete
from prunecheck.data.sources import Download, PublishedSet, open_published
from prunecheck.data.verified import PublishedFiles

CROPPED_AND_MIRRORED = Augmentation(padding=4, flip=True)

RESNET32 = Suggestion(model="resnet32", width=32, epochs=160, batch_size=64, learning_rate=0.1)
"""As published for CIFAR (arXiv:2009.11094)."""

RESNET8 = Suggestion(model="resnet8", width=16, epochs=20, batch_size=64, learning_rate=0.1)

CIFAR10 = PublishedSet(
    name="cifar10",
    image_shape=(3, 32, 32),
    images=(50_000, 10_000),
    summary="CIFAR-10: photographs of 10 kinds of things, 32x32 colour, 50,000 training and 10,000 test images",
    num_classes=10,
    mean=(0.4914, 0.4822, 0.4465),
    deviation=(0.2023, 0.1994, 0.2010),
    augmentation=CROPPED_AND_MIRRORED,
    suggestion=RESNET32,
    layouts=(
        HashedFiles("binary", ("cifar-10-batches-bin",), CIFAR10_BINARY_FILES, read_cifar10_binary),
        HashedFiles("Python", ("cifar-10-batches-py",), CIFAR10_PYTHON_FILES, read_cifar10_python),
    ),
    downloads=(
        Download(("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",), "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    ),
)


def _cifar100(name: str, summary: str, coarse: bool) -> PublishedSet:
    return PublishedSet(
        name=name,
        image_shape=(3, 32, 32),
        images=(50_000, 10_000),
        summary=summary,
        num_classes=20 if coarse else 100,
        mean=(0.5071, 0.4867, 0.4408),
        deviation=(0.2675, 0.2565, 0.2761),
        augmentation=CROPPED_AND_MIRRORED,
        suggestion=RESNET32,
        layouts=(
            HashedFiles(
                "binary",
                ("cifar-100-binary",),
                CIFAR100_BINARY_FILES,
                functools.partial(read_cifar100_binary, coarse=coarse),
            ),
            HashedFiles(
                "Python",
                ("cifar-100-python",),
                CIFAR100_PYTHON_FILES,
                functools.partial(read_cifar100_python, coarse=coarse),
            ),
        ),
        downloads=(
            Download(
                ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",), "md5:03b5dce01913d631647c71ecec9e9cb8"
            ),
        ),
    )


CIFAR100 = _cifar100(
    "cifar100",
    "CIFAR-100: photographs of 100 kinds of things, 32x32 colour, 50,000 training and 10,000 test images",
    coarse=False,
)

CIFAR100_COARSE = _cifar100("cifar100-coarse", "CIFAR-100 with the labels of its 20 superclasses", coarse=True)

TINY_IMAGENET = PublishedSet(
    name="tiny-imagenet",
    image_shape=(3, 64, 64),
    images=(100_000, 10_000),
    summary="Tiny-ImageNet: photographs of 200 kinds of things, 64x64 colour, 100,000 training and 10,000 test images",
    num_classes=200,
    mean=(0.48024578664982126, 0.44807218089384643, 0.3975477478649648),
    deviation=(0.2769864069088257, 0.26906448510256, 0.282081906210584),
    augmentation=CROPPED_AND_MIRRORED,
    suggestion=Suggestion(model="resnet32", width=32, epochs=300, batch_size=64, learning_rate=0.1),
    layouts=(
        ClassFolders(
            "JPEGs by class",
            ("tiny-imagenet-200", "tiny_imagenet"),
            ("train", "val"),
            read_tiny_imagenet,
            tiny_imagenet_is_complete,
            lists=("wnids.txt",),
        ),
    ),
    downloads=(
        Download(("http://cs231n.stanford.edu/tiny-imagenet-200.zip",), "md5:90528d7ca1a48142e341f4ef8d21d0de"),
    ),
)

MNIST_FILES: PublishedFiles = {
    "train-images-idx3-ubyte": (
        "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        47_040_016,
    ),
    "train-labels-idx1-ubyte": ("sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    "t10k-images-idx3-ubyte": ("sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
    "t10k-labels-idx1-ubyte": ("sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
}
"""Of the content, unzipped."""

MNIST = PublishedSet(
    name="mnist",
    image_shape=(1, 28, 28),
    images=(60_000, 10_000),
    summary="MNIST: handwritten digits, 28x28 grey, 60,000 training and 10,000 test images",
    num_classes=10,
    mean=(0.1307,),
    deviation=(0.3081,),
    augmentation=Augmentation(padding=2, flip=False),
    suggestion=RESNET8,
    layouts=(IdxFiles("idx", ("MNIST/raw", "mnist", "MNIST"), MNIST_FILES, read_mnist),),
    downloads=tuple(
        Download(
            (
                f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz",
                f"https://storage.googleapis.com/cvdf-datasets/mnist/{name}.gz",
            ),
            f"md5:{md5}",
            unpacked=False,
        )
        for name, md5 in (
            ("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ),
)

FASHION_MNIST_FILES: PublishedFiles = {
    "train-images-idx3-ubyte": (
        "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        47_040_016,
    ),
    "train-labels-idx1-ubyte": ("sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 60_008),
    "t10k-images-idx3-ubyte": ("sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 7_840_016),
    "t10k-labels-idx1-ubyte": ("sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 10_008),
}
"""Of the content, unzipped."""

FASHION_MNIST = PublishedSet(
    name="fashion-mnist",
    image_shape=(1, 28, 28),
    images=(60_000, 10_000),
    summary="Fashion-MNIST: pictures of 10 kinds of clothes, 28x28 grey, 60,000 training and 10,000 test images",
    num_classes=10,
    mean=(0.2860,),
    deviation=(0.3530,),
    augmentation=Augmentation(padding=2, flip=True),
    suggestion=RESNET8,
    layouts=(IdxFiles("idx", ("FashionMNIST/raw", "fashion-mnist", "FashionMNIST"), FASHION_MNIST_FILES, read_mnist),),
    downloads=tuple(
        Download(
            (
                f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz",
                f"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/{name}.gz",
            ),
            f"md5:{md5}",
            unpacked=False,
        )
        for name, md5 in (
            ("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
        )
    ),
    installed=(Path("/usr/share/datasets/fashion-mnist"),),  # Debian's dataset-fashion-mnist
)

PUBLISHED = {
    published.name: published for published in (CIFAR10, CIFAR100, CIFAR100_COARSE, TINY_IMAGENET, FASHION_MNIST, MNIST)
}
"""The published sets by name."""

for _published in PUBLISHED.values():
    DATASETS.add(_published.name, functools.partial(open_published, _published), _published.summary)
