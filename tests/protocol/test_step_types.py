from evalkit.protocol import step_types


def test_there_are_23_step_types() -> None:
    assert len(step_types.STEP_TYPES) == 23


def test_every_call_has_its_result_and_back() -> None:
    assert len(step_types.RESULT_OF) == 10
    assert all(result in step_types.STEP_TYPES for result in step_types.RESULT_OF.values())
    assert {step_types.CALL_OF[result] for result in step_types.RESULT_OF.values()} == set(
        step_types.RESULT_OF
    )
    assert {kind for kind in step_types.STEP_TYPES if kind.endswith(("_call", "_result"))} == {
        *step_types.RESULT_OF,
        *step_types.CALL_OF,
    }


def test_calls_need_an_id_and_results_name_it() -> None:
    assert all("id" in step_types.REQUIRED_FIELDS[call] for call in step_types.RESULT_OF)
    assert all("call_id" in step_types.REQUIRED_FIELDS[result] for result in step_types.CALL_OF)


def test_no_field_is_both_required_and_optional() -> None:
    assert all(
        not (step_types.REQUIRED_FIELDS[kind] & step_types.OPTIONAL_FIELDS[kind])
        for kind in step_types.OPTIONAL_FIELDS
    )


def test_types_of_steps_contents_and_annotations_do_not_collide() -> None:
    tables = (step_types.STEP_FIELDS, step_types.CONTENT_FIELDS, step_types.ANNOTATION_FIELDS)
    assert len(step_types.OPTIONAL_FIELDS) == sum(map(len, tables))


def test_function_calls_alone_are_the_clients_to_run() -> None:
    assert set(step_types.RESULT_OF) - step_types.SERVER_CALLS == {"function_call"}


def test_running_statuses_are_known() -> None:
    assert set(step_types.STATUSES) >= step_types.RUNNING
    assert "requires_action" not in step_types.RUNNING
