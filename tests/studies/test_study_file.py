from collections.abc import Callable
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study
from prunecheck.studies.suggestions import study_with_suggestions
from prunecheck.training import Recipe

Read = Callable[[str], Study]

SMALL = 'methods = ["snip"]\ndatasets = ["digits"]\n'


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads the study of a text."""

    def read(text: str) -> Study:
        file = tmp_path / "study.toml"
        file.write_text(text)
        return read_study(file, None)

    return read


@pytest.fixture
def refused(read: Read, tmp_path: Path) -> Callable[[str], str]:
    """Return a function that reads a wrong study and returns the sentence, without the path of its file."""

    def refused(text: str) -> str:
        with pytest.raises(InputError) as error:
            read(text).validate()
        sentence = str(error.value)
        assert sentence.startswith(str(tmp_path / "study.toml"))
        assert "\n" not in sentence
        return sentence.removeprefix(str(tmp_path / "study.toml"))

    return refused


def grid(question: CheckStudy) -> tuple[object, ...]:
    """Return what lists multiply."""
    return question.method.name, question.dataset, question.model, question.width, question.recipe.epochs


def test_what_is_left_out_is_as_in_check(read: Read) -> None:
    study = read(SMALL)
    (question,) = study.questions
    check = study_with_suggestions(
        "snip",
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model=None,
        width=None,
        sparsities=(0.9, 0.95),
        checks=("corrupted-data", "rearrange-mask"),
        baseline="random-smart",
        seeds=range(5),
        epochs=None,
        batch_size=None,
        learning_rate=None,
        samples_per_class=10,
        scoring_rounds=1,
        margin=2.0,
    )
    assert question == check
    assert study.runs() == check.runs()
    assert study.name == "study"


def test_lists_multiply(read: Read) -> None:
    study = read(
        'name = "all"\nmethods = ["snip", "lt"]\ndatasets = ["digits"]\nmodels = ["resnet8", "resnet14"]\n'
        'widths = [2, 3]\nrecipes = ["a", "b"]\nrecipe.a.epochs = 3\nrecipe.b.epochs = 5\n'
    )
    expected = [
        (method, "digits", model, width, epochs)
        for model in ("resnet8", "resnet14")
        for width in (2, 3)
        for epochs in (3, 5)
        for method in ("snip", "lt")
    ]
    assert [grid(question) for question in study.questions] == expected
    assert study.name == "all"


def test_every_key_arrives(read: Read) -> None:
    (question,) = read(
        'methods = ["magnitude"]\ndatasets = ["digits"]\nmodels = ["resnet8"]\nsparsities = [0.5]\nchecks = []\n'
        'seeds = [7, 3]\nbaseline = "none"\nmargin = 1\nsamples_per_class = 2\nscoring_rounds = 3\n'
        'train_images = 100\ntest_images = 50\nrecipes = ["mine"]\n'
        "[recipe.mine]\nepochs = 9\nbatch_size = 32\nlearning_rate = 1\nmomentum = 0\nweight_decay = 0\n"
        "milestones = [7, 2]\ngamma = 0.5\n"
    ).questions
    assert (question.sparsities, question.checks, tuple(question.seeds)) == ((0.5,), (), (7, 3))
    assert (question.baseline, question.margin.amount, question.width) == (None, 1.0, 32)
    assert (question.samples_per_class, question.scoring_rounds) == (2, 3)
    assert (len(question.data.train), len(question.data.test)) == (100, 50)
    assert question.recipe == Recipe(9, 32, 1.0, 0.0, 0.0, (2, 7), 0.5)


def test_what_a_recipe_does_not_say_is_as_the_data_set_suggests(read: Read) -> None:
    study = read(SMALL + 'recipes = ["published", "short", "suggested"]\n[recipe.short]\nepochs = 8\n')
    published, short, suggested = (question.recipe for question in study.questions)
    assert published == Recipe()
    assert short == Recipe(epochs=8, learning_rate=0.2, milestones=(4, 6))  # as of `check --epochs 8`
    assert suggested == Recipe(epochs=20, learning_rate=0.2, milestones=(10, 15))


def test_a_recipe_of_the_file_comes_before_one_of_the_same_name(read: Read) -> None:
    (question,) = read(SMALL + 'recipes = ["published"]\n[recipe.published]\nepochs = 3\n').questions
    assert question.recipe.epochs == 3


def test_the_nearest_table_that_has_a_key_counts(read: Read) -> None:
    study = read(
        SMALL + 'models = ["resnet20"]\nseeds = 2\nsamples_per_class = 5\n'
        '[dataset.digits]\nmodels = ["resnet14"]\nsamples_per_class = 4\n'
        '[[include]]\nmethods = ["grasp"]\nmodels = ["resnet8"]\n[[include]]\nmethods = ["lt"]\nseeds = [4]\n'
    )
    found = [(q.method.name, q.model, q.samples_per_class, tuple(q.seeds)) for q in study.questions]
    assert found == [("snip", "resnet14", 4, (0, 1)), ("grasp", "resnet8", 4, (0, 1)), ("lt", "resnet14", 4, (4,))]


def test_a_top_without_methods_is_what_includes_have_in_common(read: Read) -> None:
    study = read('datasets = ["digits"]\nseeds = 1\n[[include]]\nmethods = ["snip"]\n[[include]]\nmethods = ["lt"]\n')
    assert [(q.method.name, len(q.seeds)) for q in study.questions] == [("snip", 1), ("lt", 1)]


def test_a_question_that_is_asked_twice_is_asked_once(read: Read) -> None:
    study = read(SMALL + '[[include]]\nsparsities = [0.95, 0.9]\n[[include]]\nmethods = ["lt"]\n')
    assert [question.method.name for question in study.questions] == ["snip", "lt"]


EXCLUDED = SMALL.replace('"snip"', '"snip", "lt"') + (
    'sparsities = [0.8, 0.9]\nchecks = ["reinit", "random-labels"]\nseeds = 3\n[[exclude]]\n'
)


def pieces(study: Study, method: str) -> list[tuple[object, ...]]:
    return [
        (q.sparsities, q.checks, tuple(q.seeds), q.baseline.name if q.baseline else None)
        for q in study.questions
        if q.method.name == method
    ]


WHOLE = ((0.8, 0.9), ("reinit", "random-labels"), (0, 1, 2), "random-smart")


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ('methods = ["lt"]', []),
        ('methods = ["lt"]\nsparsities = [0.9]', [((0.8,), *WHOLE[1:])]),
        ('methods = ["lt"]\nchecks = ["reinit"]', [(WHOLE[0], ("random-labels",), *WHOLE[2:])]),
        ('methods = ["lt"]\nchecks = ["random-labels@1.0"]', [(WHOLE[0], ("reinit",), *WHOLE[2:])]),
        ('methods = ["lt"]\nseeds = [1]', [(*WHOLE[:2], (0, 2), WHOLE[3])]),
        ('methods = ["lt"]\nseeds = 2\nmodels = ["resnet8"]\nwidths = [16]', [(*WHOLE[:2], (2,), WHOLE[3])]),
        (
            'methods = ["lt"]\nchecks = ["reinit"]\nsparsities = [0.9]',
            [((0.8,), *WHOLE[1:]), ((0.9,), ("random-labels",), *WHOLE[2:])],
        ),
        (
            'methods = ["lt"]\nchecks = ["reinit"]\nseeds = [0]',
            [
                (WHOLE[0], ("reinit",), (1, 2), None),
                (WHOLE[0], ("random-labels",), (0, 1, 2), "random-smart"),
            ],
        ),
    ],
)
def test_what_is_excluded_is_left_out(read: Read, exclude: str, left: list[tuple[object, ...]]) -> None:
    study = read(EXCLUDED + exclude)
    assert pieces(study, "lt") == left
    assert pieces(study, "snip") == [WHOLE]


def test_an_excluded_baseline_leaves_the_checks(read: Read) -> None:
    study = read(EXCLUDED + 'methods = ["random-smart"]\nsparsities = [0.9]')
    assert pieces(study, "lt") == [((0.8,), *WHOLE[1:]), ((0.9,), *WHOLE[1:3], None)]


def test_tickets_whose_comparisons_are_all_excluded_for_a_seed_are_still_trained(read: Read) -> None:
    study = read(EXCLUDED + 'checks = ["reinit", "random-labels"]\nseeds = [0]\n[[exclude]]\nmethods=["random-smart"]')
    runs = {(run.check, run.seed) for run in study.runs() if run.method == "snip" and run.sparsity == 0.8}
    assert runs == {(check, seed) for check in ("reinit", "random-labels") for seed in (1, 2)} | {
        (None, seed) for seed in range(3)
    }


def test_excludes_of_recipes_go_by_their_names(read: Read) -> None:
    text = SMALL + 'recipes = ["a", "b"]\nrecipe.a.epochs = 3\nrecipe.b.epochs = 4\n[[exclude]]\nrecipes = ["a"]\n'
    assert [question.recipe.epochs for question in read(text).questions] == [4]


def test_nothing_but_what_is_asked_counts_for_the_hash(read: Read) -> None:
    text = SMALL + 'seeds = 2\nchecks = ["reinit", "random-labels"]\nrecipes = ["a"]\n[recipe.a]\nepochs = 3\n'
    same = (
        '# another file\nname = "other"\nrecipes = ["b"] # of that name\nseeds = [1, 0]\ndatasets = [\n  "digits",\n]\n'
        'checks = ["random-labels@1", "reinit"]\nmethods = ["snip"]\nrecipe.b = {epochs = 3, learning_rate = 0.2}\n'
    )
    assert read(text).hash == read(same).hash
    assert set(read(text).runs()) == set(read(same).runs())
    for other in (
        "seeds = 3",
        "seeds = 2\nmargin = 1",
        "seeds = 2\nsparsities = [0.9]",
        "seeds = 2\nmodels=['resnet14']",
    ):
        assert read(text.replace("seeds = 2", other)).hash != read(text).hash


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", " has no methods"),
        ('methods = ["snip"]\n', " has no datasets: name them"),
        ("methods = [snip]\n", ", line 1, column 12: this is not TOML (Invalid value)"),
        ('methods = ["snip"', "this is not TOML (Unclosed array"),
        (SMALL + "seeds = 1\nseeds = 2\n", ", line 4, column 10: this is not TOML (Cannot overwrite a value)"),
        (SMALL + "sparsites = [0.9]\n", ", line 3: there is no key named 'sparsites': did you mean sparsities"),
        ('method = ["snip"]\n', ", line 1: there is no key named 'method': did you mean methods"),
        (SMALL + "\n[recipe.a]\nepoch = 3\n", ", line 5: there is no key named 'epoch': did you mean epochs"),
        (SMALL + "[dataset.digits]\nmethods = 3\n", ", line 4: there is no key named 'methods'"),
        (SMALL + "[[include]]\nseed = 3\n", ", line 4: there is no key named 'seed': did you mean seeds"),
        (SMALL + "[[exclude]]\nmargin = 3\n", ", line 4: there is no key named 'margin'"),
        (
            'methods = "snip"\n',
            ', line 1: methods takes a list of names, such as ["snip", "grasp"], not \'snip\'',
        ),
        (
            SMALL + "models = [3]\n",
            ", line 3: models takes names, not 3",
        ),
        ("methods = []\n", ", line 1: methods takes a list of names"),
        ('methods = [\n"snip",\n"snip"]\n', "'snip' is given twice"),
        (
            SMALL + "sparsities = [0.9, 1]\n",
            ", line 3: sparsities takes numbers, at least 0 and less than 1, not 1",
        ),
        (SMALL + "sparsities = [nan]\n", ", line 3: sparsities takes"),
        (SMALL + "sparsities = [0.9, 0.90]\n", "0.9 is given twice"),
        (SMALL + "sparsities = []\n", "this one is empty"),
        (SMALL + "sparsities = [true]\n", "not the boolean true"),
        (SMALL + "seeds = 0\n", ", line 3: seeds takes a number of seeds, at least 1 and at most 10,000, not 0"),
        (SMALL + "seeds = true\n", "not the boolean true"),
        (SMALL + "seeds = []\n", "this one is empty"),
        (SMALL + "seeds = [1, 2, 1]\n", "1 is given twice"),
        (SMALL + "seeds = [-1]\n", "not -1"),
        (SMALL + "seeds = 99999999999999999999999\n", "at most 10,000"),
        (SMALL + "margin = 0\n", ", line 3: margin takes points of accuracy, more than 0 and less than 100, not 0"),
        (SMALL + "margin = 1979-05-27\n", "not 1979-05-27"),
        (SMALL + "widths = [0]\n", ", line 3: widths takes"),
        (SMALL + "samples_per_class = 1.5\n", ", line 3: samples_per_class takes a whole number, at least 1"),
        (SMALL + "checks = ['reinit', 'reinit']\n", "is given twice"),
        (
            SMALL + "checks = ['random-labels', 'random-labels@1']\n",
            ", line 3: checks: the check random-labels is given twice",
        ),
        (SMALL + "recipe = 'a'\n", ", line 3: recipe takes tables, written [recipe.NAME]"),
        (
            SMALL + "[recipes.a]\nepochs = 3\n",
            ", line 3: recipes takes a list of names: describe one of them in [recipe.NAME]",
        ),
        (
            SMALL + "[recipe.shrt]\nepochs = 1\n",
            ", line 3: no question of this study has the recipe shrt: name it, as in",
        ),
        (
            SMALL + "recipes = ['short']\n[recipe.shrt]\nepochs = 1\n[recipe.short]\nepochs = 1\n",
            ", line 4: no question of this study has the recipe shrt: did you mean short",
        ),
        (SMALL + "[recipe]\na = 3\n", ", line 4: recipe.a takes a table, not 3"),
        (SMALL + "[recipe.a]\nepochs = 1.0\n", ", line 4: recipe.a.epochs takes a whole number, at least 1"),
        (SMALL + "[recipe.a]\nbatch_size = 1\n", ", line 4: recipe.a.batch_size takes a whole number, at least 2"),
        (
            SMALL + "[recipe.a]\nlearning_rate = inf\n",
            ", line 4: recipe.a.learning_rate takes a number, more than 0 and finite",
        ),
        (
            SMALL + "[recipe.a]\nmilestones = [-1]\n",
            ", line 4: recipe.a.milestones takes epochs, at least 0, not -1",
        ),
        (SMALL + "[include]\nseeds = 3\n", ", line 3: include is written with two brackets on each side: [[include]]"),
        (SMALL + "[[include]]\n[[include.include]]\nseeds = 3\n", ", line 4: an include has no include of its own"),
        ("[[include]]\nmethods = ['snip']\n", ", line 1: this include has no datasets"),
        (
            "methods = ['snipp']\ndatasets = ['digits']\n",
            ", line 1: methods: there is no method named 'snipp': did you mean snip",
        ),
        (
            "methods = ['dense']\ndatasets = ['digits']\n",
            ", line 1: methods: the dense network is trained for every question",
        ),
        ("methods = ['imp@x']\ndatasets = ['digits']\n", ", line 1: methods: imp is written with @"),
        (
            "methods = ['none.py:score']\ndatasets = ['digits']\n",
            "none.py: give the path of the Python file",
        ),
        (
            "methods = ['snip']\ndatasets = ['digit']\n",
            ", line 2: datasets: there is no data set named 'digit': did you mean digits",
        ),
        (SMALL + "models = ['resnt8']\n", ", line 3: models: there is no model named 'resnt8'"),
        (
            SMALL + "checks = [\n  'reinitt',\n]\n",
            ", line 3: checks: there is no check named 'reinitt': did you mean reinit",
        ),
        (
            SMALL + "baseline = 'snip,grasp'\n",
            ", line 3: baseline: 'snip,grasp' names several methods, and baseline takes",
        ),
        (SMALL + "baseline = 'dense'\n", ", line 3: baseline: the dense network is trained for every question"),
        (SMALL + "baseline = 'random-smrt'\n", ", line 3: baseline: there is no allocation named 'smrt'"),
        (
            SMALL + "recipes = ['shrt']\n[recipe.short]\n",
            ", line 3: recipes: there is no recipe named 'shrt': did you mean short",
        ),
        (
            SMALL + "train_images = 15\n",
            ", line 3: train_images: digits has 10 classes, with as many train images of each: train_images takes",
        ),
        (SMALL + "[dataset.digits]\ntest_images = 15\n", ", line 4: dataset.digits.test_images: digits has"),
        (
            SMALL + "[dataset.digit]\nmodels = ['resnet8']\n",
            ", line 3: there is no data set named 'digit': did you mean digits",
        ),
        (SMALL + "[[exclude]]\n", ", line 3: this exclude names nothing"),
        (SMALL + "[[exclude]]\nsparsities = [0.8]\n", ", line 3: this exclude matches no run"),
        (SMALL + "[[exclude]]\nmodels = ['resnet14']\n", ", line 3: this exclude matches no run"),
        (SMALL + "[[exclude]]\nmethods = ['snip']\n[[exclude]]\nseeds=[9]\n", ", line 5: this exclude matches no run"),
        (SMALL + "[[exclude]]\nmethods = ['snip']\n", ", line 3: everything is excluded"),
    ],
)
def test_wrong_study_is_refused_with_its_line_and_key(refused: Callable[[str], str], text: str, sentence: str) -> None:
    assert sentence in refused(text)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "study.toml"
    if content:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"study\.toml (is not a text in UTF-8|cannot be read \(No such file)"):
        read_study(file, None)


OWN = """
def score(model, batches, alpha=0.5, layers=""):
    from prunecheck.pruning import magnitude
    return magnitude(model)

def build(num_classes, input_channels, depth=1, width=2):
    from prunecheck.models import build_model
    return build_model("resnet8", num_classes, width=width, input_channels=input_channels)

def load(images=200):
    from prunecheck.data import load_dataset
    digits = load_dataset("digits")
    return digits.train.pixels[:images], digits.train.labels[:images], digits.test.pixels, digits.test.labels
"""


def test_a_table_stands_for_a_name_with_arguments(read: Read, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    tables = read(
        f'methods = ["snip", {{code = "{file}:score", layers = "a,b&c", alpha = 2}}]\n'
        f'datasets = [{{code = "{file}:load", images = 300}}]\n'
        f'models = [{{code = "{file}:build", depth = 3}}]\n'
        f'baseline = {{code = "{file}:score"}}\n'
    )
    texts = read(
        f'methods = ["snip", "{file}:score?alpha=2.0&layers=a,b%26c"]\n'
        f'datasets = ["{file}:load?images=300"]\nmodels = ["{file}:build?depth=3"]\nbaseline = "{file}:score"\n'
    )
    assert tables.hash == texts.hash
    own = tables.questions[1]
    assert own.method.name == "own.py:score?alpha=2.0&layers=a%2Cb%26c"
    assert (own.dataset, own.model) == ("own.py:load?images=300", "own.py:build?depth=3")
    assert own.baseline is not None
    assert own.baseline.name == "own.py:score"
    assert len(own.data.train.labels) == 300


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("methods = [{alpha = 2}]", "line 1: a table in the place of a name is written {code ="),
        ("methods = [{code = 3}]", "line 1: a table in the place of a name is written {code ="),
        ('methods = [{code = "own.py:score", alpha = [1]}]', "line 1: a table in the place of a name"),
        ('methods = [{code = "snip", alpha = 1}]', "line 1: methods: there is no method named 'snip?alpha=1'"),
        ('methods = ["snip"]\nbaseline = {kode = "x"}', "line 2: a table in the place of a name"),
    ],
)
def test_a_table_that_names_no_code_is_refused(refused: Callable[[str], str], line: str, sentence: str) -> None:
    assert sentence in refused(f'{line}\ndatasets = ["digits"]\n')
