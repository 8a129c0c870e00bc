# The whole page of /metrics of an nginx that has done nothing: each name, help
# and type, each label, the bounds of histograms.  docs/PROTOCOL.md 9.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx = start_nginx(workers => 2);

$nginx->wait_workers;

my $page    = get($nginx, '/metrics')->body;
my $version = health($nginx)->{version};

$page =~ s/\Q$version\E/VERSION/;
$page =~ s/^(nginx_mcp_sse_zone_free_bytes) [1-9]\d+$/$1 BYTES/m;

my @got  = split /\n/, $page;
my @want = split /\n/, do { local $/; <DATA> };

is(scalar @got, scalar @want, 'the page has as many lines as it had');
is($got[$_], $want[$_], "line $_") for 0 .. $#want;

finish();

__DATA__
# HELP nginx_mcp_sse_build_info The version of the module.
# TYPE nginx_mcp_sse_build_info gauge
nginx_mcp_sse_build_info{version="VERSION"} 1
# HELP nginx_mcp_sse_workers Worker processes, including those that shut down.
# TYPE nginx_mcp_sse_workers gauge
nginx_mcp_sse_workers 2
# HELP nginx_mcp_sse_streams Open streams.
# TYPE nginx_mcp_sse_streams gauge
nginx_mcp_sse_streams 0
# HELP nginx_mcp_sse_calls_running Running calls of Frappe.
# TYPE nginx_mcp_sse_calls_running gauge
nginx_mcp_sse_calls_running 0
# HELP nginx_mcp_sse_messages_waiting Messages accepted and not yet started.
# TYPE nginx_mcp_sse_messages_waiting gauge
nginx_mcp_sse_messages_waiting 0
# HELP nginx_mcp_sse_posts_held POSTs pending until a lost stream is restored.
# TYPE nginx_mcp_sse_posts_held gauge
nginx_mcp_sse_posts_held 0
# HELP nginx_mcp_sse_sessions Sessions that accept messages.
# TYPE nginx_mcp_sse_sessions gauge
nginx_mcp_sse_sessions 0
# HELP nginx_mcp_sse_tombstones Sessions whose stream was lost and may be restored.
# TYPE nginx_mcp_sse_tombstones gauge
nginx_mcp_sse_tombstones 0
# HELP nginx_mcp_sse_zone_bytes Size of the shared memory zone.
# TYPE nginx_mcp_sse_zone_bytes gauge
nginx_mcp_sse_zone_bytes 8388608
# HELP nginx_mcp_sse_zone_free_bytes Free pages of the shared memory zone.
# TYPE nginx_mcp_sse_zone_free_bytes gauge
nginx_mcp_sse_zone_free_bytes BYTES
# HELP nginx_mcp_sse_auth_cache_entries Entries of the cache of look-ups, by result.
# TYPE nginx_mcp_sse_auth_cache_entries gauge
nginx_mcp_sse_auth_cache_entries{result="good"} 0
nginx_mcp_sse_auth_cache_entries{result="refused"} 0
# HELP nginx_mcp_sse_calls_total Calls that ended and requests answered locally, by method and result.
# TYPE nginx_mcp_sse_calls_total counter
nginx_mcp_sse_calls_total{method="initialize",result="ok"} 0
nginx_mcp_sse_calls_total{method="initialize",result="error"} 0
nginx_mcp_sse_calls_total{method="initialize",result="backend"} 0
nginx_mcp_sse_calls_total{method="initialize",result="timeout"} 0
nginx_mcp_sse_calls_total{method="initialize",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="initialize",result="too_large"} 0
nginx_mcp_sse_calls_total{method="initialize",result="dropped"} 0
nginx_mcp_sse_calls_total{method="initialize",result="local"} 0
nginx_mcp_sse_calls_total{method="initialize",result="refused"} 0
nginx_mcp_sse_calls_total{method="ping",result="ok"} 0
nginx_mcp_sse_calls_total{method="ping",result="error"} 0
nginx_mcp_sse_calls_total{method="ping",result="backend"} 0
nginx_mcp_sse_calls_total{method="ping",result="timeout"} 0
nginx_mcp_sse_calls_total{method="ping",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="ping",result="too_large"} 0
nginx_mcp_sse_calls_total{method="ping",result="dropped"} 0
nginx_mcp_sse_calls_total{method="ping",result="local"} 0
nginx_mcp_sse_calls_total{method="ping",result="refused"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="ok"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="error"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="backend"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="timeout"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="too_large"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="dropped"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="local"} 0
nginx_mcp_sse_calls_total{method="tools/list",result="refused"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="ok"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="error"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="backend"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="timeout"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="too_large"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="dropped"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="local"} 0
nginx_mcp_sse_calls_total{method="tools/call",result="refused"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="ok"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="error"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="backend"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="timeout"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="too_large"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="dropped"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="local"} 0
nginx_mcp_sse_calls_total{method="resources/*",result="refused"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="ok"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="error"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="backend"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="timeout"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="too_large"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="dropped"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="local"} 0
nginx_mcp_sse_calls_total{method="prompts/*",result="refused"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="ok"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="error"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="backend"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="timeout"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="too_large"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="dropped"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="local"} 0
nginx_mcp_sse_calls_total{method="notifications/*",result="refused"} 0
nginx_mcp_sse_calls_total{method="other",result="ok"} 0
nginx_mcp_sse_calls_total{method="other",result="error"} 0
nginx_mcp_sse_calls_total{method="other",result="backend"} 0
nginx_mcp_sse_calls_total{method="other",result="timeout"} 0
nginx_mcp_sse_calls_total{method="other",result="cancelled"} 0
nginx_mcp_sse_calls_total{method="other",result="too_large"} 0
nginx_mcp_sse_calls_total{method="other",result="dropped"} 0
nginx_mcp_sse_calls_total{method="other",result="local"} 0
nginx_mcp_sse_calls_total{method="other",result="refused"} 0
# HELP nginx_mcp_sse_call_duration_seconds Duration of calls of Frappe.
# TYPE nginx_mcp_sse_call_duration_seconds histogram
nginx_mcp_sse_call_duration_seconds_bucket{le="0.005"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.01"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.025"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.05"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.1"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.25"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="0.5"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="1"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="2.5"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="5"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="10"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="30"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="60"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="120"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="300"} 0
nginx_mcp_sse_call_duration_seconds_bucket{le="+Inf"} 0
nginx_mcp_sse_call_duration_seconds_sum 0
nginx_mcp_sse_call_duration_seconds_count 0
# HELP nginx_mcp_sse_delivery_duration_seconds Time from the last byte of a POST to the owner of its session.
# TYPE nginx_mcp_sse_delivery_duration_seconds histogram
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.00005"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.0001"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.00025"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.0005"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.001"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.0025"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.005"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.01"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.025"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.05"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.1"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.25"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="0.5"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="1"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="2.5"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="5"} 0
nginx_mcp_sse_delivery_duration_seconds_bucket{le="+Inf"} 0
nginx_mcp_sse_delivery_duration_seconds_sum 0
nginx_mcp_sse_delivery_duration_seconds_count 0
# HELP nginx_mcp_sse_streams_opened_total Streams opened.
# TYPE nginx_mcp_sse_streams_opened_total counter
nginx_mcp_sse_streams_opened_total 0
# HELP nginx_mcp_sse_streams_ended_total Streams ended, by reason.
# TYPE nginx_mcp_sse_streams_ended_total counter
nginx_mcp_sse_streams_ended_total{reason="client_left"} 0
nginx_mcp_sse_streams_ended_total{reason="slow_reader"} 0
nginx_mcp_sse_streams_ended_total{reason="idle"} 0
nginx_mcp_sse_streams_ended_total{reason="evicted"} 0
nginx_mcp_sse_streams_ended_total{reason="replaced"} 0
nginx_mcp_sse_streams_ended_total{reason="revoked"} 0
nginx_mcp_sse_streams_ended_total{reason="expired"} 0
nginx_mcp_sse_streams_ended_total{reason="stopping"} 0
nginx_mcp_sse_streams_ended_total{reason="no_memory"} 0
nginx_mcp_sse_streams_ended_total{reason="deleted"} 0
# HELP nginx_mcp_sse_queue_drops_total Streams closed because their client reads too slowly.
# TYPE nginx_mcp_sse_queue_drops_total counter
nginx_mcp_sse_queue_drops_total{reason="queue_full"} 0
nginx_mcp_sse_queue_drops_total{reason="send_timeout"} 0
# HELP nginx_mcp_sse_handovers_total POSTs accepted, by the path to the owner of their session.
# TYPE nginx_mcp_sse_handovers_total counter
nginx_mcp_sse_handovers_total{path="own"} 0
nginx_mcp_sse_handovers_total{path="zone"} 0
nginx_mcp_sse_handovers_total{path="redis"} 0
# HELP nginx_mcp_sse_messages_total Messages received by the owner, by type.
# TYPE nginx_mcp_sse_messages_total counter
nginx_mcp_sse_messages_total{type="request"} 0
nginx_mcp_sse_messages_total{type="notification"} 0
nginx_mcp_sse_messages_total{type="response"} 0
# HELP nginx_mcp_sse_messages_not_run_total Messages received and not executed, by reason.
# TYPE nginx_mcp_sse_messages_not_run_total counter
nginx_mcp_sse_messages_not_run_total{reason="repeated"} 0
nginx_mcp_sse_messages_not_run_total{reason="cancelled"} 0
nginx_mcp_sse_messages_not_run_total{reason="stream_ended"} 0
nginx_mcp_sse_messages_not_run_total{reason="timed_out"} 0
# HELP nginx_mcp_sse_limit_refusals_total Requests refused because a limit was reached, by limit.
# TYPE nginx_mcp_sse_limit_refusals_total counter
nginx_mcp_sse_limit_refusals_total{limit="inbox"} 0
nginx_mcp_sse_limit_refusals_total{limit="sessions"} 0
nginx_mcp_sse_limit_refusals_total{limit="zone"} 0
# HELP nginx_mcp_sse_requests_refused_total Requests refused, by status.
# TYPE nginx_mcp_sse_requests_refused_total counter
nginx_mcp_sse_requests_refused_total{status="400"} 0
nginx_mcp_sse_requests_refused_total{status="401"} 0
nginx_mcp_sse_requests_refused_total{status="403"} 0
nginx_mcp_sse_requests_refused_total{status="404"} 0
nginx_mcp_sse_requests_refused_total{status="405"} 0
nginx_mcp_sse_requests_refused_total{status="406"} 0
nginx_mcp_sse_requests_refused_total{status="413"} 0
nginx_mcp_sse_requests_refused_total{status="415"} 0
nginx_mcp_sse_requests_refused_total{status="429"} 0
nginx_mcp_sse_requests_refused_total{status="431"} 0
nginx_mcp_sse_requests_refused_total{status="500"} 0
nginx_mcp_sse_requests_refused_total{status="502"} 0
nginx_mcp_sse_requests_refused_total{status="503"} 0
nginx_mcp_sse_requests_refused_total{status="504"} 0
nginx_mcp_sse_requests_refused_total{status="other"} 0
# HELP nginx_mcp_sse_auth_cache_requests_total Credentials looked up in the cache, by result.
# TYPE nginx_mcp_sse_auth_cache_requests_total counter
nginx_mcp_sse_auth_cache_requests_total{result="good"} 0
nginx_mcp_sse_auth_cache_requests_total{result="refused"} 0
nginx_mcp_sse_auth_cache_requests_total{result="miss"} 0
# HELP nginx_mcp_sse_auth_cache_stale_total Expired entries used while Frappe was unavailable.
# TYPE nginx_mcp_sse_auth_cache_stale_total counter
nginx_mcp_sse_auth_cache_stale_total 0
# HELP nginx_mcp_sse_auth_lookups_total Users looked up at Frappe, by result.
# TYPE nginx_mcp_sse_auth_lookups_total counter
nginx_mcp_sse_auth_lookups_total{result="good"} 0
nginx_mcp_sse_auth_lookups_total{result="refused"} 0
nginx_mcp_sse_auth_lookups_total{result="failed"} 0
# HELP nginx_mcp_sse_redis_sent_total Messages published.
# TYPE nginx_mcp_sse_redis_sent_total counter
nginx_mcp_sse_redis_sent_total 0
# HELP nginx_mcp_sse_redis_acknowledgements_total Acknowledgements received, by result.
# TYPE nginx_mcp_sse_redis_acknowledgements_total counter
nginx_mcp_sse_redis_acknowledgements_total{result="accepted"} 0
nginx_mcp_sse_redis_acknowledgements_total{result="full"} 0
nginx_mcp_sse_redis_acknowledgements_total{result="unknown"} 0
# HELP nginx_mcp_sse_redis_resent_total Messages published again.
# TYPE nginx_mcp_sse_redis_resent_total counter
nginx_mcp_sse_redis_resent_total 0
# HELP nginx_mcp_sse_redis_unanswered_total Messages without an acknowledgement.
# TYPE nginx_mcp_sse_redis_unanswered_total counter
nginx_mcp_sse_redis_unanswered_total 0
# HELP nginx_mcp_sse_redis_received_total Messages received and accepted.
# TYPE nginx_mcp_sse_redis_received_total counter
nginx_mcp_sse_redis_received_total 0
# HELP nginx_mcp_sse_redis_duplicates_total Messages received again, not executed.
# TYPE nginx_mcp_sse_redis_duplicates_total counter
nginx_mcp_sse_redis_duplicates_total 0
# HELP nginx_mcp_sse_redis_refused_total Messages and acknowledgements rejected, by reason.
# TYPE nginx_mcp_sse_redis_refused_total counter
nginx_mcp_sse_redis_refused_total{reason="forged"} 0
nginx_mcp_sse_redis_refused_total{reason="replayed"} 0
nginx_mcp_sse_redis_refused_total{reason="expired"} 0
nginx_mcp_sse_redis_refused_total{reason="malformed"} 0
# HELP nginx_mcp_sse_redis_connects_total Connections to Redis established.
# TYPE nginx_mcp_sse_redis_connects_total counter
nginx_mcp_sse_redis_connects_total 0
# HELP nginx_mcp_sse_redis_connections_lost_total Connections to Redis lost.
# TYPE nginx_mcp_sse_redis_connections_lost_total counter
nginx_mcp_sse_redis_connections_lost_total 0
# HELP nginx_mcp_sse_events_total Messages that Frappe has published for this instance, by result.
# TYPE nginx_mcp_sse_events_total counter
nginx_mcp_sse_events_total{result="delivered"} 0
nginx_mcp_sse_events_total{result="malformed"} 0
nginx_mcp_sse_events_total{result="too_large"} 0
nginx_mcp_sse_events_total{result="method"} 0
nginx_mcp_sse_events_total{result="site"} 0
nginx_mcp_sse_events_total{result="ended"} 0
nginx_mcp_sse_events_total{result="no_stream"} 0
nginx_mcp_sse_events_total{result="queue_full"} 0
# HELP nginx_mcp_sse_questions_total Questions of calls to their client, by result.
# TYPE nginx_mcp_sse_questions_total counter
nginx_mcp_sse_questions_total{result="answered"} 0
nginx_mcp_sse_questions_total{result="refused"} 0
nginx_mcp_sse_questions_total{result="timeout"} 0
nginx_mcp_sse_questions_total{result="ended"} 0
# HELP nginx_mcp_sse_event_barriers_late_total Answers written before what was published had surely arrived.
# TYPE nginx_mcp_sse_event_barriers_late_total counter
nginx_mcp_sse_event_barriers_late_total 0
# HELP nginx_mcp_sse_events_connects_total Connections to the Redis of mcp_sse_events established.
# TYPE nginx_mcp_sse_events_connects_total counter
nginx_mcp_sse_events_connects_total 0
# HELP nginx_mcp_sse_events_connections_lost_total Connections to the Redis of mcp_sse_events lost.
# TYPE nginx_mcp_sse_events_connections_lost_total counter
nginx_mcp_sse_events_connections_lost_total 0
