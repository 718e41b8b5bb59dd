from evalkit.protocol import steps


def test_there_are_23_step_types() -> None:
    assert len(steps.STEP_TYPES) == 23


def test_every_call_has_its_result_and_back() -> None:
    assert len(steps.RESULT_OF) == 10
    assert all(result in steps.STEP_TYPES for result in steps.RESULT_OF.values())
    assert {steps.CALL_OF[result] for result in steps.RESULT_OF.values()} == set(steps.RESULT_OF)
    assert {kind for kind in steps.STEP_TYPES if kind.endswith(("_call", "_result"))} == {
        *steps.RESULT_OF,
        *steps.CALL_OF,
    }


def test_calls_need_an_id_and_results_name_it() -> None:
    assert all("id" in steps.REQUIRED_FIELDS[call] for call in steps.RESULT_OF)
    assert all("call_id" in steps.REQUIRED_FIELDS[result] for result in steps.CALL_OF)


def test_no_field_is_both_required_and_optional() -> None:
    assert all(
        not (steps.REQUIRED_FIELDS[kind] & steps.OPTIONAL_FIELDS[kind])
        for kind in steps.OPTIONAL_FIELDS
    )


def test_types_of_steps_contents_and_annotations_do_not_collide() -> None:
    tables = (steps.STEP_FIELDS, steps.CONTENT_FIELDS, steps.ANNOTATION_FIELDS)
    assert len(steps.OPTIONAL_FIELDS) == sum(map(len, tables))


def test_function_calls_alone_are_the_clients_to_run() -> None:
    assert set(steps.RESULT_OF) - steps.SERVER_CALLS == {"function_call"}


def test_running_and_terminal_statuses_are_all_statuses() -> None:
    assert {*steps.RUNNING, *steps.TERMINAL} == set(steps.STATUSES)
    assert not steps.RUNNING & steps.TERMINAL
    assert "requires_action" in steps.TERMINAL
