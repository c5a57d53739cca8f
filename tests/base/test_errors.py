"""The remedy for an unknown name."""

from __future__ import annotations

from lightbound.base.errors import choose_from

NAMES = ("a100", "h100_pcie", "h100_sxm", "h200", "v100", "v100_pcie")


def test_names_that_begin_with_what_was_typed_come_before_names_that_look_like_it() -> None:
    assert choose_from(NAMES, "h100").startswith("Did you mean 'h100_pcie' or 'h100_sxm'? Choose from: a100, ")
    assert choose_from(NAMES, "H100_S").startswith("Did you mean 'h100_sxm'? ")


def test_several_names_are_listed_and_a_slip_of_one_letter_names_one() -> None:
    names = ("attention", "attention_at", "attention_backward")
    assert choose_from(names, "atten").startswith("Did you mean 'attention', 'attention_at' or 'attention_backward'? ")
    assert choose_from(names, "attentio").startswith("Did you mean 'attention'? ")


def test_a_name_that_none_begins_with_is_met_with_the_nearest_one() -> None:
    assert choose_from(NAMES, "h2000").startswith("Did you mean 'h200'? ")


def test_nothing_typed_and_nothing_like_it_leave_only_the_list() -> None:
    assert choose_from(NAMES, "") == choose_from(NAMES, "violin") == f"Choose from: {', '.join(NAMES)}."
    assert choose_from((), "a") == "Choose from: (none)."
