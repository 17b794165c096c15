"""The `http` pack: what upgrades of HTTP services broke elsewhere, asked of yours.

`docs/packs.md` tells the story of each check, and what `[checks.options.http]` may say. A check compares with the
baseline where "as before" is the point, and is not run where no baseline answers; the others have a rule of their own.
All but http/media-type and http/large-body only read.
"""

from __future__ import annotations

from rehearse.checks.packs.http_checks.connections import (  # noqa: F401  # for pytest to collect
    test_a_connection_is_closed_when_asked_to,
    test_a_kept_connection_is_answered_again,
    test_a_request_without_host_is_answered_as_before,
    test_answers_say_once_where_they_end,
    test_old_health_checks_are_answered_as_before,
)
from rehearse.checks.packs.http_checks.headers import (  # noqa: F401  # for pytest to collect
    test_caches_are_told_what_an_answer_depends_on,
    test_caches_may_keep_what_they_might,
    test_its_certificate_does_not_end_soon,
    test_its_certificate_is_trusted,
    test_its_clock_is_near_ours,
    test_no_security_header_is_lost,
    test_type_and_charset_are_as_before,
    test_what_did_not_change_is_not_sent_again,
    test_what_was_compressed_still_is,
)
from rehearse.checks.packs.http_checks.inputs import (  # noqa: F401  # for pytest to collect
    test_a_long_header_is_taken_as_before,
    test_a_long_url_is_taken_as_before,
    test_a_parameter_given_twice_means_what_it_meant,
    test_a_very_long_integer_is_not_a_failure,
    test_characters_beyond_ascii_are_taken_as_before,
    test_empty_values_are_taken_as_before,
    test_semicolons_in_a_query_mean_what_they_meant,
)
from rehearse.checks.packs.http_checks.pages import (  # noqa: F401  # for pytest to collect
    test_a_body_of_another_type_is_treated_as_before,
    test_a_large_body_is_treated_as_before,
    test_a_method_that_is_not_allowed_is_refused_as_before,
    test_a_slash_more_or_less_means_what_it_meant,
    test_head_answers_as_before_and_like_get,
    test_health_answers,
    test_no_answer_under_load_showed_a_stack_trace,
    test_other_sites_are_allowed_as_before,
    test_pages_answer_as_before,
    test_ready_answers,
    test_redirects_keep_scheme_and_host,
    test_the_page_for_a_failure_is_of_the_same_kind,
    test_the_page_for_what_is_not_there_is_of_the_same_kind,
)
