#include "base/logging.h"

#include <unistd.h>

#include <memory>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace varalign::base {
namespace {

// Where log lines go and what stands in each. Constant after InitLogging.
struct Destination {
  spdlog::logger logger{"varalign",
                        std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  Json role = "";
  Json context = Json::object();
  bool plain = false;
};

// The one object of the process that everybody may reach: a log line must be
// possible from any depth and thread without an argument through every
// signature, also while main returns, hence never destroyed.
Destination& TheDestination() {
  static Destination* const destination = [] {
    auto* made = new Destination;
    made->logger.set_pattern("%v");
    // A log that cannot be written has nowhere to complain.
    made->logger.set_error_handler([](const std::string&) {});
    return made;
  }();
  return *destination;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

std::string Now() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                          absl::UTCTimeZone());
}

// A value with control bytes removed from every string in it.
Json Clean(Json value) {
  if (value.is_string()) return StripControl(value.get_ref<std::string&>());
  if (value.is_structured()) {
    for (Json& element : value) element = Clean(std::move(element));
  }
  return value;
}

// Value of a plain line: text as it is where that leaves no doubt, else JSON.
std::string PlainValue(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (!text.empty() && text.find_first_of(" \t\n\"=") == std::string::npos) {
      return text;
    }
  }
  return DumpJson(value);
}

std::string PlainLine(const Json& fields) {
  std::string line;
  for (const auto& [name, value] : fields.items()) {
    if (!line.empty()) line += ' ';
    const bool bare = name == "time" || name == "level" || name == "event";
    line += bare ? PlainValue(value) : name + "=" + PlainValue(value);
  }
  return line;
}

void Log(LogLevel level, std::string_view event, LogFields fields) {
  Destination& destination = TheDestination();
  if (!destination.logger.should_log(ToSpdlog(level))) return;
  Json line = {{"time", Now()},
               {"level", LevelName(level)},
               {"role", destination.role},
               {"event", StripControl(event)}};
  line.update(destination.context);
  for (const auto& [name, value] : fields) {
    line[std::string(name)] = Clean(value);
  }
  const std::string text = destination.plain ? PlainLine(line) : DumpJson(line);
  destination.logger.log(ToSpdlog(level), spdlog::string_view_t(text));
}

}  // namespace

void InitLogging(std::string_view role, LogLevel level, const Json& context) {
  Destination& destination = TheDestination();
  destination.role = role;
  destination.context = Clean(context);
  destination.plain = isatty(STDERR_FILENO) == 1;
  destination.logger.set_level(ToSpdlog(level));
}

void LogDebug(std::string_view event, LogFields fields) {
  Log(LogLevel::kDebug, event, fields);
}

void LogInfo(std::string_view event, LogFields fields) {
  Log(LogLevel::kInfo, event, fields);
}

void LogWarning(std::string_view event, LogFields fields) {
  Log(LogLevel::kWarning, event, fields);
}

void LogError(std::string_view event, LogFields fields) {
  Log(LogLevel::kError, event, fields);
}

}  // namespace varalign::base
