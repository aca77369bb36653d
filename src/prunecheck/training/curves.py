"""After which epochs a network is tested, for its curves; nothing that is trained depends on it."""

MOST_TESTED = 0.4
"""Test images for each training image that is learned from, where curves are thinned by themselves.

Testing an image takes a third of what learning from it does. CIFAR and Tiny ImageNet have 0.2 and 0.1, and so all of
their curves; digits has 1.8.
"""


def epochs_to_test(epochs: int, train_images: int, test_images: int, thin: bool | None = None) -> frozenset[int]:
    """Return after which epochs, counted from 1, a network is tested; the last one is always among them.

    Args:
        epochs: how many there are.
        train_images: learned from in each of them.
        test_images: in a pass over the test part.
        thin: False: after every epoch; True: after the last one alone; None: as often as there are at most
            :data:`MOST_TESTED` test images for each training image, the last pass excepted.
    """
    if thin is False:
        return frozenset(range(1, epochs + 1))
    tested: set[int] = set()
    for epoch in range(1, epochs if thin is None else 1):
        if (len(tested) + 1) * test_images <= MOST_TESTED * epoch * train_images:
            tested.add(epoch)
    return frozenset(tested | {epochs})
