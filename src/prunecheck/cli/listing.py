"""``prunecheck list``: what there is."""


def list_names() -> None:
    """List methods, criteria, allocations, checks, networks, data sets, recipes, metrics and formats, a line each."""
    from rich.table import Table
    from rich.text import Text

    import prunecheck.api.tracking_services  # noqa: F401 - which registers them
    from prunecheck.api.tracking import SERVICES
    from prunecheck.checks import CHECKS
    from prunecheck.cli.output import print_out
    from prunecheck.data import DATASETS
    from prunecheck.metrics import METRICS
    from prunecheck.models import MODELS
    from prunecheck.pruning import ALLOCATIONS, CRITERIA, METHODS
    from prunecheck.pruning.export_formats import EXPORT_FORMATS
    from prunecheck.pruning.patterns import PATTERN_FAMILIES
    from prunecheck.report.formats.whole_words import WholeRows
    from prunecheck.training.named_recipes import RECIPES

    for heading, registry in (
        ("methods", METHODS),
        ("criteria: a method each, over the whole network; or CRITERION-ALLOCATION", CRITERIA),
        ("allocations (random-smart: the paper's random tickets); also ratios-of:METHOD", ALLOCATIONS),
        ("patterns, behind any of these: snip-channels, magnitude-erk-2:4", PATTERN_FAMILIES),
        ("checks", CHECKS),
        ("models", MODELS),
        ("data sets", DATASETS),
        ("recipes; also suggested (the data set's own), FILE.toml", RECIPES),
        ("metrics", METRICS),
        ("formats of `export` and `prune`", EXPORT_FORMATS),
        ("services that track runs", SERVICES),
    ):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
        for entry in registry:
            table.add_row(f"  {entry.name}", entry.summary)
        print_out(Text(heading, style="bold"), WholeRows(table))
