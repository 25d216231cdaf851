"""The contract must be able to fail: for every law there is a method that breaks it, and the law finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract import saboteurs as S
from tests.contract import saboteurs_state as T
from tests.contract.case import Case
from tests.contract.law import LAWS
from tests.contract.law_storage import SLOW
from tests.contract.table import FILES
from tests.rows import Setting

#: law -> who breaks it, under which variant, and as a method with or without closure
BROKEN: dict[str, tuple[Callable[..., Any], str]] = {
    "set_to_none_is_set_to_zero": (S.Aliases, ""),
    "gradients_are_only_read": (S.WritesGradients, ""),
    "without_a_gradient_nothing_moves": (S.MovesEverything, ""),
    "steps_are_counted_per_parameter": (S.OneClock, ""),
    "zero_gradients_do_no_harm": (S.Normalizes, "first"),
    "micro_batches_add_up": (S.CountsBackwards, ""),
    "a_step_before_any_backward_is_no_step": (S.OneClock, ""),
    "a_missing_closure_is_named": (S.NeedsClosure, ""),
    "shape_is_only_a_view": (S.HalvesMatrices, "3d"),
    "strides_change_nothing": (S.WalksStorage, "gaps"),
    "strides_of_the_gradient_change_nothing": (S.WalksGradient, "transposed"),
    "bfloat16_weights_have_full_state": (T.RoundState, ""),
    "short_weights_are_rounded_once": (T.RoundState, "bfloat16"),
    "types_may_be_mixed": (T.FirstType, ""),
    "double_weights_are_computed_in_double": (T.RoundState, ""),
    "types_that_cannot_descend_are_refused": (S.accepts_all, "complex64"),
    "sparse_gradients_are_refused": (S.accepts_all, ""),
    "a_file_is_enough": (T.HidesState, "float32"),
    "a_run_can_be_rewound": (T.HidesState, ""),
    "another_codec_reads_it": (T.Picky, "int8"),
    "another_model_is_refused": (T.TakesAnything, ""),
    "damage_is_refused_whole": (T.TakesAnything, "float32"),
    "what_others_keep_survives": (T.TakesAnything, ""),
    "copies_go_on_alone": (T.HidesState, "deepcopy"),
    "a_group_can_be_added": (S.KnowsItsFirst, ""),
    "hooks_are_called": (S.HooksTwice, ""),
    "frozen_and_unused_groups_stay": (S.MovesEverything, ""),
    "tied_weights_are_one": (S.MovesNothing, ""),
    "saved_state_is_plain": (T.SavesObjects, ""),
    "schedulers_are_heard": (S.OldRate, "lambda"),
    "groups_have_values_of_their_own": (S.OldRate, ""),
    "lr_zero_is_no_move": (S.MovesEverything, ""),
    "a_group_goes_as_it_would_alone": (S.FirstGroup, "lr"),
    "splitting_a_group_changes_nothing": (S.GroupNorm, ""),
    "nothing_is_compiled_twice": (T.CompilesAgain, ""),
    "maximizing_is_minimizing_the_negative": (S.Descends, ""),
    "making_and_stepping_draw_nothing": (S.DrawsGlobally, ""),
    "randomness_moves_on_as_after_one_question": (S.AsksAgain, "plain"),
    "dropout_is_replayed_and_norms_count_once": (S.AsksAgain, "plain"),
    "a_closure_may_call_backward_itself": (S.AddsUp, "none"),
    "a_closure_adds_to_what_is_there": (S.Honest, ""),
    "autocast_is_the_closures": (S.MultipliesShort, ""),
    "a_closure_is_not_needed": (S.AddsUp, ""),
    "the_loss_comes_back": (S.ReturnsLater, "new"),
    "a_closure_without_a_loss_is_named": (S.TakesNone, ""),
    "a_closure_that_raises_changes_nothing": (S.LeavesPerturbed, "2"),
    "every_question_is_counted": (S.AsksAgain, "own_backward"),
    "raise_means_nothing_changed": (S.RaisesLate, "gradient-nan-1"),
    "skip_means_it_never_was": (S.ReplacesNaN, "gradient-nan-1"),
    "guard_lets_nothing_in": (S.Honest, "gradient-nan-1"),
    "guard_stops_only_what_is_spoiled": (S.Honest, ""),
    "propagate_means_what_torch_does": (S.ReplacesNaN, ""),
    "a_scaler_changes_nothing": (S.ForgetsToUnscale, ""),
    "a_closure_may_scale_and_clip": (S.AsksAgain, "scaled"),
    "a_scaler_may_be_handed_to_the_step": (S.ForgetsToUnscale, ""),
    "an_overflow_skips_and_lowers_the_scale": (S.ForgetsToUnscale, "1"),
    "a_compiler_is_not_needed": (T.NeedsCompiler, ""),
    "lifts_agree": (T.LiftDependent, "float32"),
    "threads_change_nothing": (T.CountsThreads, ""),
    "inductor_agrees": (T.LiftDependent, ""),
    "tensors_may_be_changed_by_hand": (T.KnowsAddresses, "replace"),
    "a_replaced_parameter_is_trained": (S.KnowsItsFirst, "without"),
    "a_pruned_parameter_is_trained": (S.KnowsItsFirst, ""),
    "an_appended_parameter_is_trained": (S.KnowsItsFirst, ""),
    "weights_are_freed_with_the_optimizer": (T.KnowsItself, ""),
    "older_graphs_are_refused": (S.WritesUnseen, ""),
    "state_may_be_forgotten": (T.KnowsAddresses, "cleared"),
    "weights_may_be_cast": (T.KnowsAddresses, "float64"),
    "auto_is_quiet_and_quick": (T.Branches, ""),
    "state_takes_the_bytes_it_promises": (T.Hoards, "int8"),
    "descent_survives_rounding": (T.SlowWhenSmall, "int8"),
    "rounding_differs_between_steps_and_tensors": (T.OneSalt, "int8"),
}

CLOSURE = {"a_missing_closure_is_named", "a_closure_that_raises_changes_nothing"}


def _case(make: Callable[..., Any], law: str) -> Case:
    closure = law in CLOSURE
    return Case("broken", make, Setting(), closure, 2 if closure else 1)


@pytest.mark.parametrize("law", [pytest.param(n, marks=SLOW if LAWS[n].slow else []) for n in BROKEN])
def test_a_broken_method_is_found(law: str) -> None:
    make, variant = BROKEN[law]
    with pytest.raises((AssertionError, RuntimeError, TypeError, UserWarning)):
        LAWS[law].check(_case(make, law), *([variant] if variant else []))


@pytest.mark.parametrize("law", [n for n, (make, _) in BROKEN.items() if isinstance(make, type) and issubclass(make, S.Honest)
                                 and make is not S.Honest and n not in CLOSURE])  # fmt: skip
def test_the_honest_version_is_not(law: str) -> None:
    """It is the fault that is found, and not something else."""
    if law in UNFAIR:
        pytest.skip(UNFAIR[law])
    _, variant = BROKEN[law]
    LAWS[law].check(_case(S.Honest, law), *([variant] if variant else []))


#: laws that gradient descent written by hand does not keep
UNFAIR: dict[str, str] = {
    "steps_are_counted_per_parameter": "it counts nothing",
    "groups_have_values_of_their_own": "it has a weight_decay that it does not use",
    "short_weights_are_rounded_once": "it multiplies and subtracts in bfloat16",
    "raise_means_nothing_changed": "it does not look for NaN",
    "skip_means_it_never_was": "it does not look for NaN",
}


def test_every_law_has_been_seen_red() -> None:
    assert len(FILES) == 9
    assert set(BROKEN) == set(LAWS)
