#include "collector/cli/gap_kinds.h"

namespace tokenwatch {
namespace {

constexpr GapKind kKinds[] = {
    // The agent itself.
    {"agent_down", "the agent was not running, after it had ended unasked"},
    {"agent_stopped", "the agent was stopped"},
    // What the kernel side could not read or remember (agent/http/gap.h, kernel_counters.cc).
    {"http2_unseen", "HTTP/2 connections that could not be read"},
    {"lost_framing_unseen",
     "connections of which requests were missed until they could be followed "
     "again"},
    {"pipeline_unseen", "connections with too many requests under way to be told apart"},
    {"past_api_unseen", "connections whose bytes went past the functions that are watched"},
    {"unreadable_unseen", "connections of which bytes could not be read from memory"},
    {"kernel_buffer_unseen", "connections whose bytes were sent from the kernel's own buffers"},
    {"receive_call_unseen", "connections whose answers arrived by a call that is not watched"},
    {"unknown_gap_unseen",
     "connections with bytes missing for a reason that the agent has no name "
     "for"},
    {"ring_full_lost", "pieces of traffic that came faster than the agent took them"},
    {"connections_full_unseen", "connections beyond what the kernel side remembers"},
    {"threads_full_unseen", "threads beyond what the kernel side remembers"},
    {"calls_full_unseen", "calls beyond what the kernel side remembers"},
    {"processes_full_lost", "processes beyond what the kernel side remembers"},
    {"returns_missed_unseen", "calls whose end was not seen"},
    {"unreadable_lost", "header bytes that were not in memory when they were to be read"},
    {"steps_exceeded_lost", "calls with more messages than are followed"},
    {"blocks_cut_lost", "header blocks longer than 64 KiB, cut there"},
    {"http2_side_unknown_unseen", "HTTP/2 header frames of which client and server are not known"},
    {"http2_bodies_full_lost",
     "bodies of calls for tokens beyond those that are followed at once on an HTTP/2 connection"},
    {"program_runs_lost", "calls that the kernel did not let the probes see"},
    {"segments_malformed_lost", "records from the kernel that could not be read"},
    {"segments_invalid_dropped", "records from the kernel that made no sense"},
    // Finding libraries and processes.
    {"probes_failed_unseen", "libraries that could not be watched"},
    {"mapping_events_lost", "reports of newly loaded libraries that were lost"},
    {"libraries_being_written_unseen", "TLS libraries that were opened for writing while in use"},
    {"files_refused_unseen", "files that may be TLS libraries and could not be identified"},
    {"processes_unseen", "processes that had ended before they could be described"},
    {"processes_cut_unseen", "processes whose description was too long, cut"},
    {"processes_dropped", "processes beyond what the agent remembers"},
    {"exits_over_limit_dropped", "ends of processes beyond what the agent remembers"},
    {"container_names_unseen", "uses whose container and pod could not be named in time"},
    {"user_names_unseen", "uses whose user's name could not be found in time"},
    {"pod_labels_dropped", "labels of pods beyond what is told of one"},
    // Reading HTTP.
    {"answers_lost", "answers that could not be read"},
    {"answers_unseen", "uses whose answer was not seen in time"},
    {"answers_without_request_lost", "answers whose request was not seen"},
    {"answers_status_unresolved_lost", "HTTP/2 answers whose status could not be decoded"},
    {"grpc_status_unresolved_lost", "gRPC calls whose status could not be decoded"},
    {"held_answers_over_limit_dropped", "answers that came before their request, beyond a bound"},
    {"pieces_lost", "pieces of header blocks that were missing"},
    {"pieces_before_sight_lost", "pieces of header blocks that began before they were watched"},
    {"pieces_repeated_dropped", "pieces of header blocks that came twice"},
    {"pieces_orphaned_lost", "pieces of header blocks whose beginning is missing"},
    {"header_blocks_unparsed_lost", "header blocks that are no HTTP"},
    {"header_blocks_cut_lost", "header blocks with bytes missing"},
    {"header_blocks_expired_lost", "header blocks that never ended"},
    {"header_blocks_over_limit_lost", "header blocks beyond a connection's bound"},
    {"header_lines_lost", "header lines that could not be read"},
    {"header_fields_over_limit_lost", "header fields beyond a block's bound"},
    {"assembly_over_limit_dropped", "pieces of header blocks beyond the agent's memory"},
    {"connections_over_limit_dropped", "connections beyond what the agent remembers"},
    {"exchanges_over_limit_dropped", "requests beyond what a connection may have under way"},
    {"exchanges_expired_lost", "requests whose answer never came"},
    {"http2_frames_invalid_lost", "HTTP/2 frames that made no sense"},
    {"hpack_blocks_lost", "HTTP/2 header blocks that could not be decompressed"},
    {"hpack_tables_lost", "HTTP/2 connections whose header compression was lost track of"},
    {"hpack_tables_over_limit_dropped", "HTTP/2 compression tables beyond the agent's memory"},
    {"hpack_table_sizes_over_limit_lost", "HTTP/2 compression tables larger than are followed"},
    // TLS on the wire.
    {"tls_connections_not_followed_unseen",
     "TLS connections beyond those of which it is told whether they were read"},
    {"tls_beginnings_unread_unseen",
     "connections that may have begun TLS in bytes that were not looked at"},
    {"tls_connections_untold_lost",
     "TLS connections of which it is not known whether they were read"},
    // Tokens.
    {"credentials_dropped", "credentials beyond those that one request may hold"},
    {"bodies_orphaned_lost", "bodies of calls for tokens whose request is not known any more"},
    {"bodies_undecoded_lost", "bodies of calls for tokens in a coding that is not read"},
    {"bodies_unseen", "answers to calls for tokens whose body was not seen"},
    {"token_facts_dropped", "facts beyond those that are told with one use"},
    {"report_token_facts_dropped", "facts of tokens that a collector would not take"},
    {"requests_cut_token_unseen", "requests with bytes missing in which no token was found"},
    // Delivery.
    {"report_queue_dropped", "uses that came faster than they could be written to the spool"},
    {"report_refused_dropped", "uses that the collector refused"},
    {"spool_full_dropped", "uses that the spool's disk had no room for"},
    {"spool_unwritable_dropped", "uses that the spool could not keep"},
    {"spool_overflow_dropped", "uses that waited longest when the spool was full"},
    {"spool_corrupt_dropped", "uses in the spool that were damaged on disk"},
};

}  // namespace

absl::Span<const GapKind> GapKinds() { return kKinds; }

std::string GapMeaning(const std::string& kind) {
  for (const GapKind& row : kKinds) {
    if (row.kind == kind) return std::string(row.meaning);
  }
  if (kind.ends_with("_unseen")) return "something that could not be seen";
  return kind.ends_with("_lost") || kind.ends_with("_dropped") ? "something that was seen and lost"
                                                               : "";
}

}  // namespace tokenwatch
