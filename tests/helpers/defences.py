"""Removes each defence in turn, in a copy: the tests that cover it must fail.

`make defences` runs `python -m tests.helpers.defences [--write] [WORD …]`: part of a title.
If a line no longer exists, the run ends with its title.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULT, TEXT = ROOT / "docs" / "defences.json", ROOT / "docs" / "reliability.md"
START, END = "<!-- defences:start -->", "<!-- defences:end -->"
_LONGEST = 150.0
"""Seconds; what takes longer without its defence does not come to an end, which is a failure."""
_FAILED = (1, 3)
"""Exit codes of pytest; the second one where a test has replaced what pytest itself uses."""


@dataclass(frozen=True, slots=True)
class Defence:
    """A line that prevents something."""

    title: str
    file: str
    text: str
    """Occurs once."""
    instead: str
    test: str


DEFENCES = (
    Defence(
        "strangers name embedded models alone",
        "dppa_core/checkpoints/sources/open.py",
        "        if public:\n",
        "        if public and text.startswith('zoo:'):\n",
        "tests/checkpoints/test_checkpoint.py::test_a_public_page_opens_embedded_models_only",
    ),
    Defence(
        "and learn nothing of this computer",
        "dppa_core/checkpoints/sources/open.py",
        '"Folders of this computer and models',
        'f"{text}: folders of this computer and models',
        "tests/checkpoints/test_checkpoint.py::test_a_stranger_does_not_learn_what_this_computer_holds",
    ),
    Defence(
        "paths lie below the roots, links followed",
        "dppa_core/checkpoints/sources/open.py",
        "return within_roots(_path(ref.location))",
        "return _path(ref.location)",
        "tests/checkpoints/test_checkpoint.py::test_where_roots_are_named_nothing_else_is_opened",
    ),
    Defence(
        "names and revisions of the Hub are checked",
        "dppa_core/checkpoints/sources/hub.py",
        "        validate_repo_id(name)\n",
        "        pass\n",
        "tests/checkpoints/test_hub.py::test_what_the_hub_cannot_have_is_never_asked_for",
    ),
    Defence(
        "a public page asks the Hub for nothing",
        "dppa_core/checkpoints/sources/open.py",
        "        if public:\n",
        '        if public and "/" not in text:\n',
        "tests/checkpoints/test_hub.py::test_a_public_page_asks_the_hub_for_nothing",
    ),
    Defence(
        "no code of a model's own",
        "dppa_core/models/loading.py",
        "source.folder, local_files_only=True, trust_remote_code=False",
        "source.folder, local_files_only=True, trust_remote_code=True",
        "tests/faults/test_odd_models.py::test_code_that_a_known_architecture_brings_along_is_not_run",
    ),
    Defence(
        "no pickle on a public page",
        "dppa_core/checkpoints/sources/open.py",
        "pickles=not public",
        "pickles=True",
        "tests/checkpoints/test_checkpoint.py::test_no_pickle_is_read_on_a_public_page",
    ),
    Defence(
        "pickles by the restricted loader",
        "dppa_core/checkpoints/torch_reader.py",
        "weights_only=True",
        "weights_only=False",
        "tests/faults/test_pickles.py::test_code_in_a_pickle_never_runs",
    ),
    Defence(
        "no tags in YAML",
        "dppa_core/recipes/yaml_text.py",
        'if getattr(event, "tag", None) is not None:',
        "if False:",
        "tests/faults/test_bad_recipes.py::test_a_seed_that_is_none",
    ),
    Defence(
        "no aliases in YAML",
        "dppa_core/recipes/yaml_text.py",
        "if isinstance(event, yaml.AliasEvent):",
        "if False:",
        "tests/faults/test_bad_recipes.py::test_a_seed_that_is_none",
    ),
    Defence(
        "templates of strangers have a time",
        "dppa_core/checkpoints/vocabulary/render.py",
        "        if template == EMBEDDED:\n",
        "        if True:\n",
        "tests/faults/test_chat_templates.py::test_a_template_without_end_is_ended_and_the_next_one_is_not[time]",
    ),
    Defence(
        "and a size",
        "dppa_core/checkpoints/vocabulary/render_worker.py",
        "if len(text) <= longest else",
        "if True else",
        "tests/faults/test_chat_templates.py::test_a_template_that_is_refused_says_why",
    ),
    Defence(
        "and see no login",
        "dppa_core/checkpoints/vocabulary/render.py",
        "                **passed,\n",
        "                **os.environ,\n",
        "tests/faults/test_chat_templates.py::test_the_process_knows_no_login_and_comes_back_when_it_was_killed",
    ),
    Defence(
        "the sandbox is one that holds",
        "requirements.txt",
        "jinja2>=3.1.6",
        "jinja2>=3.1.4",
        "tests/test_audit.py::test_no_range_allows_a_version_that_is_known_to_be_bad",
    ),
    Defence(
        "the server fetches no address (SSRF), takes no upload",
        "components/server/guards/closed_routes.py",
        'if _CLOSED.fullmatch(unquote(scope["path"])):',
        "if False:",
        "tests/app/page/test_api.py::test_what_the_page_does_not_use_is_closed",
    ),
    Defence(
        "no value names a file, or an address to fetch",
        "components/server/guards/value_guard.py",
        "if not (known and plain(inputs)):",
        "if not known:",
        "tests/app/server/test_strange_clients.py::test_no_value_has_the_server_open_or_fetch_a_file",
    ),
    Defence(
        "values that do not fit are in no log",
        "components/server/guards/value_guard.py",
        "            error.print_exception = False\n",
        "",
        "tests/app/server/test_strange_clients.py::test_values_that_do_not_fit_are_not_written_down",
    ),
    Defence(
        "whatever is sent is bounded",
        "components/server/guards/body_limits.py",
        'if message["type"] != "http.request" or size > most:',
        'if message["type"] != "http.request":',
        "tests/app/server/test_strange_clients.py::test_a_body_longer_than_any_of_the_page_is_refused",
    ),
    Defence(
        "one's own copy answers under its own names",
        "components/server/guards/hosts.py",
        "if split_host(host)[0] not in accepted:",
        "if False:",
        "tests/app/server/test_hosts.py::test_no_page_of_others_makes_this_computer_a_part_of_itself",
    ),
    Defence(
        "requests of other web pages are refused",
        "components/server/guards/hosts.py",
        "if is_foreign(headers, self._known):",
        "if False:",
        "tests/app/server/test_hosts.py::test_no_page_of_another_origin_sends_a_request",
    ),
    Defence(
        "before Gradio's CORS answers",
        "components/server/serving.py",
        "HeaderLimits(HostCheck(app.middleware_stack, known, own))",
        "HeaderLimits(app.middleware_stack)",
        "tests/app/server/test_hosts.py::test_a_public_page_and_a_space_answer_under_any_name_and_to_their_own_pages",
    ),
    Defence(
        "subresources of other sites are refused",
        "components/server/guards/hosts.py",
        "if not opened and",
        "if False and",
        "tests/app/server/test_hosts.py::test_another_page_may_link_here_and_nothing_else",
    ),
    Defence(
        "no WebSocket is opened",
        "components/server/guards/hosts.py",
        'if scope["type"] == "websocket":',
        "if False:",
        "tests/app/server/test_hosts.py::test_no_websocket_is_opened_and_a_start_is_passed_on",
    ),
    Defence(
        "a push has an Origin",
        "components/views/export/push.py",
        'if "origin" not in headers:',
        "if False:",
        "tests/app/panes/test_push.py::test_no_page_of_others_pushes_with_the_login_of_who_has_it_open",
    ),
    Defence(
        "listed sites alone frame the page",
        "components/server/guards/closed_routes.py",
        "\"frame-ancestors 'self'\", *frames",
        '"frame-ancestors *", *frames',
        "tests/app/page/test_api.py::test_listed_sites_alone_show_the_page_in_a_frame_and_no_cache_keeps_it",
    ),
    Defence(
        "no cache keeps the page",
        "components/server/guards/closed_routes.py",
        'if scope["path"] in NOT_STORED',
        "if False",
        "tests/app/page/test_api.py::test_listed_sites_alone_show_the_page_in_a_frame_and_no_cache_keeps_it",
    ),
    Defence(
        "only JSON is read",
        "components/server/guards/body_limits.py",
        "if posts and kind",
        "if False and kind",
        "tests/app/server/test_strange_clients.py::test_only_json_is_read_which_no_page_of_others_sends_unasked",
    ),
    Defence(
        "answers that nobody reads are bounded",
        "components/server/queue/fair_queue.py",
        "        self._drop_unread()\n",
        "",
        "tests/app/server/test_fair_queue.py::test_answers_that_nobody_reads_are_bounded",
    ),
    Defence(
        "a place is free when the work has ended",
        "components/server/queue/fair_queue.py",
        "if one not in active and one.jobs.running:",
        "if False:",
        "tests/load/test_load.py::test_who_joins_and_cancels_has_one_score_computed_at_a_time",
    ),
    Defence(
        "what is cancelled stops",
        "components/server/queue/fair_queue.py",
        "        if event is not None:\n            event.jobs.stop()\n",
        "",
        "tests/load/test_load.py::test_who_joins_and_cancels_has_one_score_computed_at_a_time",
    ),
    Defence(
        "one address has half of a queue",
        "components/server/queue/fair_queue.py",
        "if near >= most // 2:",
        "if False:",
        "tests/app/server/test_fair_queue.py::test_tabs_of_one_address_have_half_the_room_and_go_after_others",
    ),
    Defence(
        "what nobody listens to ends",
        "components/server/queue/fair_queue.py",
        "if event.session_hash not in self._streams and since < now - UNHEARD:",
        "if False:",
        "tests/app/server/test_fair_queue.py::test_what_nobody_listens_to_ends",
    ),
    Defence(
        "made-up sessions push nobody out",
        "components/server/queue/sessions.py",
        "if len(own) == OF_A_PARTY and visitor.session not in own:",
        "if False:",
        "tests/app/server/test_fair_queue.py::test_a_party_is_remembered_with_so_many_sessions_and_no_more",
    ),
    Defence(
        "calls without a session are somebody's",
        "components/work/visitor.py",
        'f"calls of {self.party}"',
        'f"calls of {id(self)}"',
        "tests/app/server/test_fair_queue.py::test_calls_without_a_session_are_those_of_one_visitor",
    ),
    Defence(
        "a caller of agents is named by this process alone",
        "components/work/visitor.py",
        "if secrets.compare_digest(secret.encode(), self._secret.encode()):",
        "if secret:",
        "tests/app/work/test_visitor.py::test_the_bridge_names_its_callers_and_nobody_else_does",
    ),
    Defence(
        "a session cancels its own events alone",
        "components/server/guards/closed_routes.py",
        'scope[PARSED] if CANCEL.fullmatch(scope["path"]) else None',
        "None",
        "tests/app/server/test_event_owner.py::test_a_session_cancels_its_own_event_and_no_other",
    ),
    Defence(
        "events of the page have no name outside",
        "components/server/guards/closed_routes.py",
        "if call and call[1] not in self._public:",
        "if False:",
        "tests/app/server/test_event_owner.py::test_events_of_the_page_have_no_name_outside",
    ),
    Defence(
        "files never fetched make room",
        "components/work/downloads/files.py",
        "            self._make_room(nbytes)\n",
        "            self._check_room(nbytes)\n",
        "tests/app/work/test_exports.py::test_where_all_is_full_goes_what_was_never_fetched_of_who_has_most",
    ),
    Defence(
        "links in a model's folder stay in it",
        "dppa_core/checkpoints/folders/model_files.py",
        "    _check_place(path, place, Path(os.path.realpath(path.parent)))\n",
        "",
        "tests/faults/test_links.py::test_no_file_elsewhere_gets_into_a_merge",
    ),
    Defence(
        "and in folders that transformers is handed",
        "dppa_core/models/loading.py",
        "        check_links(source.folder)  # every load begins here\n",
        "",
        "tests/faults/test_links.py::test_transformers_is_handed_no_folder_with_links_that_lead_out",
    ),
    Defence(
        "a link put there after the look is not followed",
        "dppa_core/system/regular_files.py",
        'getattr(os, "O_NOFOLLOW", 0)',
        "0",
        "tests/faults/test_links.py::test_a_link_put_there_after_the_look_is_not_followed",
    ),
    Defence(
        "settings name no tokenizer elsewhere",
        "dppa_core/models/loading.py",
        "        check_named_files(source.folder)\n",
        "",
        "tests/faults/test_links.py::test_no_tokenizer_of_another_folder_is_named_by_its_settings",
    ),
    Defence(
        "what is copied is what its name says",
        "dppa_core/merging/cards/companions.py",
        "n: read_companion(folder",
        "n: read_file(folder",
        "tests/merging/test_companions.py::test_nothing_is_copied_that_is_not_what_its_name_says",
    ),
    Defence(
        "devices are not opened",
        "dppa_core/system/regular_files.py",
        "    _check_regular(os.stat(path, follow_symlinks=follow), path)\n",
        "",
        "tests/faults/test_irregular_files.py::test_a_device_is_refused_without_being_opened",
    ),
    Defence(
        "pipes are not waited for",
        "dppa_core/system/regular_files.py",
        'getattr(os, "O_NONBLOCK", 0)',
        "0",
        "tests/faults/test_irregular_files.py::test_a_pipe_put_there_after_the_look_is_not_waited_for",
    ),
    Defence(
        "calibration texts are regular files",
        "dppa_core/profiling/calibration/texts.py",
        "        data = read_regular(path, most + 1, stop=stop)\n",
        "        data = path.read_bytes()\n",
        "tests/faults/test_irregular_files.py::test_a_pipe_is_refused_and_named",
    ),
    Defence(
        "a start removes what killed processes left",
        "components/server/serving.py",
        '    threading.Thread(target=remove_dead, name="dppa-sweep", daemon=True).start()\n',
        "",
        "tests/app/work/test_exports.py::test_a_start_removes_what_a_killed_process_left",
    ),
    Defence(
        "and nothing of living ones",
        "dppa_core/system/temporary.py",
        "                _close(folder, lock_folder(folder))\n",
        "                _close(folder, os.open(folder, 0))\n",
        "tests/system/test_temporary.py::test_folders_of_living_processes_stay",
    ),
    Defence(
        "half a head is not waited for",
        "components/server/guards/connections.py",
        "self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_late)",
        "pass",
        "tests/app/server/test_connections.py::test_a_client_that_sends_a_byte_now_and_then_loses_its_connection",
    ),
    Defence(
        "nor a client that does not read",
        "components/server/guards/connections.py",
        "self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)",
        "pass",
        "tests/app/server/test_connections.py::test_a_client_that_does_not_read_loses_its_connection",
    ),
    Defence(
        "open connections are bounded",
        "components/server/guards/connections.py",
        "if len(self.connections) > most_open():",
        "if False:",
        "tests/app/server/test_connections.py::test_more_connections_than_the_bound_are_closed_at_once",
    ),
    Defence(
        "what is not HTTP causes no trace",
        "components/server/guards/connections.py",
        "        except h11.LocalProtocolError:\n",
        "        except ZeroDivisionError:\n",
        "tests/app/server/test_connections.py::test_what_is_not_http_causes_one_answer_and_no_trace",
    ),
    Defence(
        "the page is served with deadlines",
        "components/server/serving.py",
        "    serve_with(Server)\n",
        "",
        "tests/app/server/test_heads.py::test_the_page_is_served_with_deadlines",
    ),
    Defence(
        "a body arrives in time",
        "components/server/guards/body_limits.py",
        "asyncio.timeout(SECONDS)",
        "asyncio.timeout(None)",
        "tests/app/server/test_heads.py::test_half_a_body_is_waited_for_as_long_as_it_may_take",
    ),
    Defence(
        "paths are printable and short",
        "components/server/guards/heads.py",
        'if not _PATH.fullmatch(scope["path"]):',
        "if False:",
        "tests/app/server/test_heads.py::test_paths_that_no_page_has_are_not_found",
    ),
    Defence(
        "hosts are names or addresses",
        "components/server/guards/heads.py",
        "if not _are_hosts(Headers(scope=scope)):",
        "if False:",
        "tests/app/server/test_heads.py::test_hosts_that_cannot_be_are_refused",
    ),
    Defence(
        "session names are words",
        "components/server/guards/heads.py",
        "return isinstance(value, str) and _SESSION.fullmatch(value) is not None",
        "return True",
        "tests/app/server/test_heads.py::test_a_name_of_a_session_is_a_word",
    ),
    Defence(
        "unknown keys of call/v2 are not logged",
        "components/server/serving.py",
        "            TypeError: _misfit,\n",
        "",
        "tests/app/server/test_heads.py::test_a_body_that_does_not_fit_an_endpoint_is_refused",
    ),
    Defence(
        "two listeners cause no trace",
        "components/server/queue/visitors_present.py",
        "await self._listen(scope, receive, send)",
        "await self._app(scope, receive, send)",
        "tests/app/server/test_heads.py::test_two_who_listen_to_one_session_may_both_leave",
    ),
    Defence(
        "warnings of the server do not flood the log",
        "components/server/logs.py",
        "if record.created - self._last.get(record.msg, -math.inf) < SELDOM:",
        "if False:",
        "tests/app/server/test_operations.py::test_a_warning_of_the_server_is_logged_once_a_minute",
    ),
    Defence(
        "a cancel names its handler",
        "components/server/guards/closed_routes.py",
        "named = event.session_hash, handler_number(event)",
        'named = event.session_hash, asked.get("fn_index")',
        "tests/app/server/test_event_owner.py::test_an_event_is_cancelled_under_the_number_of_its_handler",
    ),
    Defence(
        "a nameless session is none",
        "components/server/queue/fair_queue.py",
        "body.session_hash = body.session_hash or None",
        "pass",
        "tests/app/server/test_fair_queue.py::test_a_session_without_a_name_stops_no_queue",
    ),
    Defence(
        "messages to a forgotten session are dropped",
        "components/work/gradio_inside.py",
        "if event.session_hash in self.pending_messages_per_session:",
        "if True:",
        "tests/app/server/test_fair_queue.py::test_a_waiting_session_that_was_forgotten_stops_no_queue",
    ),
    Defence(
        "a token in a body is no login",
        "components/work/gradio_inside.py",
        'named["oauth_token"] = None',
        "pass",
        "tests/app/server/test_strange_clients.py::test_a_token_in_a_body_is_nobodys_login",
    ),
    Defence(
        "sessions keep no values",
        "components/work/gradio_inside.py",
        "state.config_values = _NoConfiguration()",
        "pass",
        "tests/app/server/test_strange_clients.py::test_a_session_keeps_no_configuration_and_nothing_it_was_sent",
    ),
    Defence(
        "new sessions have a rate",
        "components/server/queue/sessions.py",
        "if not known and not self._new.take(visitor):",
        "if False:",
        "tests/app/server/test_fair_queue.py::test_new_sessions_of_a_party_have_a_rate_and_those_that_are_known_none",
    ),
    Defence(
        "a request has one length",
        "components/server/guards/body_limits.py",
        'if "content-length" in headers and "transfer-encoding" in headers:',
        "if False:",
        "tests/app/server/test_strange_clients.py::test_a_request_with_two_lengths_is_refused_and_ends_its_connection",
    ),
    Defence(
        "neighbours see no files",
        "components/work/downloads/files.py",
        "if visitor.session and one.visitor.tab",
        "if one.visitor.tab",
        "tests/app/work/test_exports.py::test_neighbours_who_call_without_a_tab_see_no_files_of_each_other",
    ),
    Defence(
        "a party has half of the slider threads",
        "components/server/queue/fast_answers.py",
        "OF_A_PARTY if self._page.studio.public else threads",
        "1000",
        "tests/app/server/test_fast_answers.py::test_one_party_never_has_all_threads_of_the_sliders",
    ),
    Defence(
        "a party has one lesson worker less",
        "components/learn/block_queue.py",
        "max(1, workers - 1)",
        "workers",
        "tests/app/learn/test_lessons.py::test_a_party_never_has_all_threads",
    ),
    Defence(
        "uploads are bounded even so",
        "components/server/serving.py",
        '        "max_file_size": "1kb",\n',
        "",
        "tests/app/page/test_handlers.py::test_the_page_keeps_no_history_and_loads_nothing_from_elsewhere",
    ),
    Defence(
        "a header longer than any",
        "dppa_core/checkpoints/safetensors_reader.py",
        "if length > min(size - 8, _LARGEST_HEADER):",
        "if False:",
        "tests/faults/test_headers.py::test_a_header_longer_than_any_is_not_read",
    ),
    Defence(
        "overlapping tensors",
        "dppa_core/checkpoints/safetensors_reader.py",
        "if info.start < end:",
        "if False:",
        "tests/faults/test_headers.py::test_a_layout_is_read_exactly_where_safetensors_reads_it",
    ),
    Defence(
        "absurd shapes",
        "dppa_core/checkpoints/safetensors_reader.py",
        "if last < first or wanted not in (None, last - first):",
        "if False:",
        "tests/faults/test_bombs.py::test_a_bomb_is_refused_before_memory_is_taken[absurd_shape]",
    ),
    Defence(
        "millions of values in a header or an index",
        "dppa_core/system/strict_json.py",
        "if values > _MOST_VALUES:",
        "if False:",
        "tests/faults/test_bombs.py::test_a_bomb_is_refused_before_memory_is_taken",
    ),
    Defence(
        "zip bombs in .bin files",
        "dppa_core/checkpoints/torch_reader.py",
        "        _check_unpacked(path, self._records)\n",
        "",
        "tests/faults/test_bombs.py::test_a_bomb_is_refused_before_memory_is_taken[zip_bomb]",
    ),
    Defence(
        "links are bounded",
        "components/session/link.py",
        "    if len(text) > LONGEST_LINK:\n",
        "    if False:\n",
        "tests/app/session/test_link.py::test_a_link_that_is_none_says_why",
    ),
    Defence(
        "an adapter's rank is bounded",
        "dppa_core/checkpoints/adapters/lora_config.py",
        "least < 1 or most > _LARGEST_RANK or not",
        "least < 1 or not",
        "tests/fuzz/test_regressions.py::test_what_once_was_a_finding_is_none",
    ),
    Defence(
        "no value in a template of gr.HTML",
        "components/widgets/browser_parts.py",
        "{skeleton}</div>'",
        "{skeleton}</div>${{value}}'",
        "tests/app/server/test_secrets.py::test_no_value_is_ever_part_of_a_template",
    ),
    Defence(
        "Markdown is made safe",
        "components/views/export/export.py",
        "sanitize_html=True",
        "sanitize_html=False",
        "tests/app/server/test_secrets.py::test_no_value_is_ever_part_of_a_template",
    ),
    Defence(
        "reports hold no markup of others",
        "dppa_core/figures/report.py",
        "<h1>{escape(title)}</h1>",
        "<h1>{title}</h1>",
        "tests/app/panes/test_report.py::test_no_text_of_people_or_models_is_markup",
    ),
    Defence(
        "nobody goes around the queue",
        "components/page/workbench.py",
        "queue(api_open=False)",
        "queue(api_open=True)",
        "tests/app/page/test_api.py::test_nobody_goes_around_the_queue",
    ),
    Defence(
        "no history of runs",
        "components/server/serving.py",
        '"run_history": False',
        '"run_history": True',
        "tests/app/page/test_handlers.py::test_the_page_keeps_no_history_and_loads_nothing_from_elsewhere",
    ),
    Defence(
        "no monitoring",
        "components/server/serving.py",
        '"enable_monitoring": False',
        '"enable_monitoring": True',
        "tests/app/page/test_api.py::test_nobody_reads_what_others_did",
    ),
    Defence(
        "an allowance for each visitor",
        "components/work/rate_limits.py",
        "if any(sum(n for _, n in past[name]) + tokens > limits[name] for name in limits):",
        "if False:",
        "tests/app/page/test_handlers.py::test_an_allowance_is_per_visitor_and_comes_back",
    ),
    Defence(
        "a stranger pushes with a login of their own",
        "components/views/export/push.py",
        "if token is None and studio.public:",
        "if False:",
        "tests/app/panes/test_push.py::test_a_stranger_never_pushes_with_the_login_of_the_machine",
    ),
    Defence(
        "and from this page alone",
        "components/views/export/push.py",
        "        _check_asker(request.headers, is_foreign)\n",
        "",
        "tests/app/panes/test_push.py::test_no_page_of_others_pushes_with_the_login_of_who_has_it_open",
    ),
    Defence(
        "tokens are cut out of what the Hub says",
        "dppa_core/checkpoints/sources/refusals.py",
        '_TOKEN.sub("…", text.replace(token, "…"))',
        "text",
        "tests/merging/test_hub_upload.py",
    ),
    Defence(
        "and out of what is printed of a push",
        "components/views/export/push.py",
        "token: str | None = field(repr=False)",
        "token: str | None",
        "tests/app/server/test_secrets.py::test_no_login_stands_in_a_log_a_link_a_report_or_a_file",
    ),
    Defence(
        "handlers check what they are sent",
        "components/session/json_form.py",
        "if isinstance(value, str) and len(value) <= LONGEST_TEXT:",
        "if True:",
        "tests/app/server/test_raw_calls.py::test_no_value_of_a_strange_client_is_a_bug",
    ),
)


def fails_without(defence: Defence, copy: Path) -> bool:
    """Whether its test fails in a copy of the project without it."""
    path = copy / defence.file
    whole = path.read_text("utf-8")
    if whole.count(defence.text) != 1:
        raise SystemExit(f"{defence.title}: {defence.file} does not hold its line once.")
    path.write_text(whole.replace(defence.text, defence.instead), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", defence.test]
    try:
        running = subprocess.Popen(
            command,
            cwd=copy,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = running.communicate(timeout=_LONGEST)[0]
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            return True
        if running.returncode not in (0, *_FAILED):  # no such test: nothing was shown
            raise SystemExit(f"{defence.title}: {said.decode(errors='replace')[-800:]}")
        return running.returncode in _FAILED
    finally:
        path.write_text(whole, "utf-8")


def table(found: dict[str, bool]) -> str:
    """A row for each defence."""
    rows = ["| taken away | in | fails then |", "| --- | --- | --- |"]
    for defence in DEFENCES:
        if defence.title in found:
            test = f"`{defence.test.partition('::')[2] or defence.test}`"
            shown = test if found[defence.title] else "nothing ✗"
            rows.append(f"| {defence.title} | `{defence.file}` | {shown} |")
    return "\n".join(rows)


def write(found: dict[str, bool]) -> None:
    """Save a result, and write its table."""
    from benchmarks.engine.write import filled  # noqa: PLC0415  (numba)

    RESULT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    text = TEXT.read_text("utf-8")
    TEXT.write_text(filled(text, table(found), START, END), "utf-8")


def main() -> int:
    """The exit code: 1 if no test notices that a defence is gone."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("words", nargs="*")
    asked.add_argument("--write", action="store_true", help="into docs/defences.json and its table")
    options = asked.parse_args()
    chosen = [d for d in DEFENCES if not options.words or any(w in d.title for w in options.words)]
    found = json.loads(RESULT.read_text("utf-8")) if options.words and RESULT.exists() else {}
    with tempfile.TemporaryDirectory(prefix="dppa-defences-") as folder:
        copy = Path(folder) / "copy"
        unwanted = shutil.ignore_patterns(".git", ".venv*", "out", "pictures", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=unwanted)
        for defence in chosen:
            found[defence.title] = fails_without(defence, copy)
            sys.stdout.write(f"{'ok ' if found[defence.title] else 'BAD'} {defence.title}\n")
            sys.stdout.flush()
    if options.write:
        write(found)
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
