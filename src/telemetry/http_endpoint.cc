#include "telemetry/http_endpoint.h"

#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/exception_boundary.h"
#include "base/listen_error.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "civetweb.h"

namespace varalign::telemetry {

// The address is known once the server has started; the rest is constant.
struct HttpEndpoint::State {
  const Registry& registry;
  const HealthCheck health;
  std::string address = {};
  mg_context* server = nullptr;
};

namespace {

struct Reply {
  std::string_view status = "200 OK";
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string body;
};

Reply Health(const HealthCheck& health) {
  const absl::Status status = health();
  if (status.ok()) return {.body = "ok\n"};
  return {.status = "503 Service Unavailable",
          .body = absl::StrCat(
              base::StripControl(base::ToStd(status.message())), "\n")};
}

Reply Answer(std::string_view method, std::string_view path,
             const Registry& registry, const HealthCheck& health) {
  if (method != "GET" && method != "HEAD") {
    return {.status = "405 Method Not Allowed", .body = "GET or HEAD only\n"};
  }
  if (path == "/metrics") {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = registry.Exposition()};
  }
  if (path == "/healthz") return Health(health);
  return {.status = "404 Not Found", .body = "/metrics or /healthz\n"};
}

void Send(mg_connection& connection, const Reply& reply,
          std::string_view method) {
  const std::string head = absl::StrCat(
      "HTTP/1.1 ", base::ToAbsl(reply.status),
      "\r\nContent-Type: ", base::ToAbsl(reply.content_type),
      "\r\nContent-Length: ", reply.body.size(),
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"
      "\r\nConnection: close\r\n\r\n");
  mg_write(&connection, head.data(), head.size());
  if (method == "HEAD") return;
  mg_write(&connection, reply.body.data(), reply.body.size());
}

// Comes before anything that civetweb would do itself: it serves no files.
int OnRequest(mg_connection* connection) {
  const mg_request_info& request = *mg_get_request_info(connection);
  const auto& state = *static_cast<const HttpEndpoint::State*>(
      mg_get_user_data(mg_get_context(connection)));
  // The serializer may throw bad_alloc, and above us is C.
  const absl::Status sent = base::CatchExceptions([&] {
    Send(*connection,
         Answer(request.request_method, request.local_uri, state.registry,
                state.health),
         request.request_method);
    return absl::OkStatus();
  });
  return sent.ok() ? 200 : 500;
}

// Failures to listen are ours to report; all else of civetweb is about peers
// that send rubbish.
int DropMessage(const mg_connection*, const char*) { return 1; }

mg_context* StartServer(const std::string& address,
                        HttpEndpoint::State& state) {
  mg_callbacks callbacks = {};
  callbacks.begin_request = OnRequest;
  callbacks.log_message = DropMessage;
  const char* options[] = {"listening_ports",
                           address.c_str(),
                           "num_threads",
                           "2",
                           "request_timeout_ms",
                           "5000",
                           "enable_keep_alive",
                           "no",
                           nullptr};
  return mg_start(&callbacks, &state, options);
}

// mg_stop alone waits until the accepting thread looks up, every 2 s; any
// connection makes it look up.
void StopServer(mg_context& server, const std::string& address) {
  absl::Notification stopped;
  std::jthread knocker([&stopped, to = *base::ParseHostPort(address)] {
    do {
      char reason[64];
      mg_connection* knock =
          mg_connect_client(to.host.c_str(), to.port,
                            /*use_ssl=*/0, reason, sizeof(reason));
      if (knock != nullptr) mg_close_connection(knock);
    } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10)));
  });
  mg_stop(&server);
  stopped.Notify();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    const HttpOptions& options, const Registry& registry, HealthCheck health) {
  ASSIGN_OR_RETURN(base::HostPort address, base::ParseHostPort(options.listen));
  RETURN_IF_ERROR(base::CheckExposure(address, options.exposure));

  std::unique_ptr<State> state(new State{registry, std::move(health)});
  mg_init_library(MG_FEATURES_DEFAULT);
  state->server = StartServer(address.ToString(), *state);
  mg_server_port port = {};
  if (state->server == nullptr ||
      mg_get_server_ports(state->server, 1, &port) != 1) {
    if (state->server != nullptr) mg_stop(state->server);
    mg_exit_library();
    return base::ListenError(address);
  }
  address.port = static_cast<uint16_t>(port.port);
  state->address = address.ToString();
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(state)));
}

HttpEndpoint::HttpEndpoint(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

HttpEndpoint::~HttpEndpoint() {
  StopServer(*state_->server, state_->address);
  mg_exit_library();
}

const std::string& HttpEndpoint::address() const { return state_->address; }

}  // namespace varalign::telemetry
