"""One question as recorded runs ask it, and the setting that they have in common."""

from dataclasses import dataclass, replace

from prunecheck.pruning import DENSE
from prunecheck.studies.specs import RunSpec
from prunecheck.training import Recipe


@dataclass(frozen=True)
class Setting:
    """What runs must have in common to be compared; see :class:`~prunecheck.studies.RunSpec`."""

    dataset: str
    dataset_hash: str | None
    train_images: int | None
    test_images: int | None
    model: str
    width: int | None
    recipe: Recipe
    model_hash: str | None = None

    @staticmethod
    def of(spec: RunSpec) -> "Setting":
        """Return a run's setting."""
        return Setting(
            spec.dataset,
            spec.dataset_hash,
            spec.train_images,
            spec.test_images,
            spec.model,
            spec.width,
            spec.recipe,
            spec.model_hash,
        )


@dataclass(frozen=True)
class RecordedMethod:
    """A method by its name, and what else tells its tickets from others'."""

    name: str


@dataclass(frozen=True)
class RecordedQuestion:
    """What runs of one method in one setting answer: a question as ``analyse`` takes it.

    Attributes:
        own: a run of the method; the others differ from it in sparsity, check and seed alone.
        others: a run of the baseline; None where there is none.
        seeds: those of all its runs; not every ticket need have every seed.
        check_hashes: of the code of each check that does not come with prunecheck.
    """

    method: RecordedMethod
    own: RunSpec
    baseline: RecordedMethod | None
    others: RunSpec | None
    sparsities: tuple[float, ...]
    checks: tuple[str, ...]
    seeds: tuple[int, ...]
    margin: float
    check_hashes: tuple[tuple[str, str], ...] = ()

    @property
    def dataset_name(self) -> str:
        """The data set."""
        return self.own.dataset

    @property
    def train_images(self) -> int | None:
        """How many training images were used; None for all."""
        return self.own.train_images

    @property
    def test_images(self) -> int | None:
        """How many test images measured accuracy; None for all."""
        return self.own.test_images

    @property
    def model(self) -> str:
        """The network."""
        return self.own.model

    @property
    def width(self) -> int | None:
        """Channels of its first stage; None where it offers no choice."""
        return self.own.width

    @property
    def recipe(self) -> Recipe:
        """How all were trained."""
        return self.own.recipe

    def dense_run(self, seed: int) -> RunSpec:
        """Return the run of the whole network, recorded or not."""
        return dense_run(self.own, seed)

    def method_run(self, sparsity: float, check: str | None, seed: int) -> RunSpec:
        """Return the run of the method's ticket, recorded or not."""
        check_hash = dict(self.check_hashes).get(check) if check else None
        return replace(self.own, sparsity=sparsity, check=check, check_hash=check_hash, seed=seed)

    def baseline_run(self, sparsity: float, seed: int) -> RunSpec:
        """Return the run of the baseline's ticket, recorded or not."""
        assert self.others is not None
        return replace(self.others, sparsity=sparsity, seed=seed)


def dense_run(spec: RunSpec, seed: int) -> RunSpec:
    """Return the run of the whole network in the setting of another run."""
    return replace(
        spec,
        method=DENSE,
        method_hash=None,
        sparsity=0.0,
        check=None,
        check_hash=None,
        trained_on=None,
        samples_per_class=0,
        scoring_rounds=0,
        seed=seed,
    )
