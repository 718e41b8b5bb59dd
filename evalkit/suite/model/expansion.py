"""Expands a suite into its variants: one for each combination of settings, case and trial."""

from collections.abc import Iterator, Sequence
from itertools import product

from evalkit._lib.json import JSON
from evalkit.errors import UsageError
from evalkit.suite.model.suite import Scenario, SettingAxis, Suite
from evalkit.suite.model.variant_names import file_word, name_parts, part_label
from evalkit.suite.model.variants import Variant


def expand(suite: Suite, *, models: Sequence[str] = (), repeat: int | None = None) -> list[Variant]:
    """Return every variant of a suite, scenarios in file order, trials last.

    ``models`` replaces the model of every scenario that has one (not an agent, nor the model that a
    choice of the matrix names). Several become a part of the name; a single one does not, so that
    two runs with different models have the same identities. ``repeat`` replaces the scenarios' own
    number of trials; of a policy the same share of them must pass. Raises UsageError: two variants
    would share a cassette.
    """
    names = tuple(dict.fromkeys(models))
    if len({file_word(model).casefold() for model in names}) < len(names):
        raise UsageError(
            f"the models {', '.join(names)} would share cassettes: "
            "name models that differ in more than case and punctuation"
        )
    variants = [
        variant
        for scenario in suite.scenarios
        for variant in _variants(suite, scenario, names, repeat)
    ]
    if any(variant.other_model for variant in variants):
        _refuse_shared_cassettes(suite, variants)
    return variants


def cassettes_of(suite: Suite, model: str, repeat: int | None = None) -> set[str]:
    """Return the cassettes of a suite's variants with a model, ``""`` for its own models.

    A model that would share cassettes has none.
    """
    try:
        variants = expand(suite, models=[model] if model else (), repeat=repeat)
    except UsageError:
        return set()
    return {variant.cassette for variant in variants}


def _refuse_shared_cassettes(suite: Suite, variants: Sequence[Variant]) -> None:
    """Raise UsageError where the cassette of another model is that of a variant of the suite."""
    owners = {own.cassette.casefold(): own for own in expand(suite)}
    for variant in variants:
        owner = owners.setdefault(variant.cassette.casefold(), variant)
        if variant.other_model and owner is not variant:
            raise UsageError(
                f"{variant.id} with the model {variant.other_model} would share the cassette "
                f"{variant.cassette} with {owner.id}; give the case or choice another name"
            )


def tests_of(variants: Sequence[Variant]) -> Iterator[Sequence[Variant]]:
    """Yield the variants of each test: one, or all trials of a variant with a policy."""
    index = 0
    while index < len(variants):
        policy = variants[index].policy
        count = policy.trials if policy is not None else 1
        yield variants[index : index + count]
        index += count


def combinations(
    axes: Sequence[SettingAxis],
) -> Iterator[tuple[dict[str, JSON], tuple[str, ...]]]:
    """Yield the settings of each combination, and the parts of its name."""
    for values in product(*(axis.values for axis in axes)):
        pairs = list(zip(axes, values, strict=True))
        settings = {axis.name: value for axis, value in pairs}
        yield (
            settings,
            tuple(part_label(axis.name, value) for axis, value in pairs if axis.is_list),
        )


def _variants(
    suite: Suite, scenario: Scenario, models: tuple[str, ...], repeat: int | None
) -> Iterator[Variant]:
    axes = scenario.axes
    own_models = next((axis for axis in axes if axis.name == "model"), None)
    is_replaced = bool(models) and own_models is not None and not scenario.chooses_model
    if is_replaced:
        model_axis = SettingAxis("model", models, len(models) > 1)
        axes = tuple(model_axis if axis.name == "model" else axis for axis in axes)
    trials = range(1, (repeat or scenario.repeat) + 1)
    policy = scenario.policy
    if policy is not None and repeat is not None:
        policy = policy.with_trials(repeat)
    choices = tuple(scenario.choices.values())
    for settings, own_parts in combinations(axes):
        cassette_parts, other_model = own_parts, ""
        if is_replaced:
            assert own_models is not None
            # The model is the first axis.
            cassette_parts, model = own_parts[len(models) > 1 :], settings["model"]
            if model not in own_models.values:
                other_model = str(model)
            elif own_models.is_list:
                cassette_parts = (part_label("model", model), *cassette_parts)
        settings |= scenario.choices
        for index, row in enumerate(scenario.rows):
            parts = name_parts(own_parts, choices, row)
            if is_replaced:
                row_parts = name_parts(cassette_parts, choices, row)
            for trial in trials:
                yield Variant(
                    suite=suite,
                    scenario=scenario,
                    parts=parts,
                    cassette_parts=row_parts if is_replaced else parts,
                    other_model=other_model,
                    settings={**settings, "case": row.label} if row.number else settings,
                    trial=trial,
                    row=index,
                    policy=policy,
                )
