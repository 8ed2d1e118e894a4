#include "cli/program_verbs.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "cli/completion.h"
#include "cli/config_options.h"
#include "cli/run_request.h"
#include "config/diagnostics.h"
#include "config/schema.h"
#include "google/protobuf/util/json_util.h"
#include "grpcpp/grpcpp.h"

namespace varalign::cli {
namespace {

using base::Json;

struct ConfigArguments {
  ConfigOptions config;
  bool json = false;
};

absl::Status PrintConfig(const ConfigArguments& arguments) {
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  if (!arguments.json) {
    std::fputs(config::ToYamlWithOrigins(loaded).c_str(), stdout);
    return absl::OkStatus();
  }
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(loaded.config, &text,
                                                   options)
           .ok()) {
    return absl::InternalError("the configuration has no JSON form");
  }
  ASSIGN_OR_RETURN(const Json config, base::ParseJson(text));
  const Json json = {
      {"version", 1}, {"config", config}, {"origins", Json(loaded.origins)}};
  std::printf("%s\n", base::DumpJson(json).c_str());
  return absl::OkStatus();
}

absl::Status CheckConfig(const ConfigArguments& arguments) {
  ASSIGN_OR_RETURN(
      const config::LoadedConfig loaded,
      LoadResolvedConfig(arguments.config.file, arguments.config.overrides));
  return CheckInputs(loaded.config);
}

absl::Status ValidateConfig(const ConfigArguments& arguments) {
  const absl::Status status = CheckConfig(arguments);
  if (arguments.json) {
    const Json json = {
        {"version", 1},
        {"valid", status.ok()},
        {"errors",
         status.ok() ? Json::array() : config::DiagnosticsJson(status)}};
    std::printf("%s\n", base::DumpJson(json).c_str());
  } else if (status.ok()) {
    std::printf("%s: valid\n", arguments.config.file.c_str());
  }
  return status;
}

Json Versions() {
  return {{"version", 1},
          {"varalign", base::kVersion},
          {"protocol", base::kProtocol},
          {"checkpoint_format", 1},
          {"dataset_format", 1},
          {"libtorch", VARALIGN_TORCH_VERSION},
          {"grpc", grpc::Version()},
          {"protobuf",
           absl::StrFormat("%d.%d.%d", GOOGLE_PROTOBUF_VERSION / 1000000,
                           GOOGLE_PROTOBUF_VERSION / 1000 % 1000,
                           GOOGLE_PROTOBUF_VERSION % 1000)},
          {"compiler", __VERSION__}};
}

absl::Status PrintVersion(bool json) {
  const Json versions = Versions();
  if (json) {
    std::printf("%s\n", base::DumpJson(versions).c_str());
    return absl::OkStatus();
  }
  for (const auto& [name, value] : versions.items()) {
    if (name == "version") continue;
    std::printf("%-18s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str()
                                  : base::DumpJson(value).c_str());
  }
  return absl::OkStatus();
}

void AddConfigPart(CLI::App& parent, const std::string& name,
                   const std::string& help, Action& action,
                   absl::Status (*run)(const ConfigArguments&)) {
  auto arguments = std::make_shared<ConfigArguments>();
  CLI::App* verb = parent.add_subcommand(name, help);
  AddConfigOptions(*verb, arguments->config)->required();
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->callback(
      [arguments, &action, run] { action = [=] { return run(*arguments); }; });
}

}  // namespace

void AddConfigVerb(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand(
      "config",
      "Look at a configuration without starting anything.\n\n"
      "  varalign config print run.yaml --set train.epochs=2\n"
      "  varalign config validate run.yaml\n"
      "  varalign config schema > run.schema.json\n");
  verb->require_subcommand(1);
  AddConfigPart(*verb, "print", "every value with its origin", action,
                PrintConfig);
  AddConfigPart(*verb, "validate", "all errors, and whether inputs are there",
                action, ValidateConfig);
  CLI::App* schema = verb->add_subcommand("schema", "JSON Schema for editors");
  auto ignored = std::make_shared<std::string>();
  schema->add_option("config", *ignored, "accepted and not read");
  schema->callback([&action, ignored] {
    action = [] {
      std::fputs(config::RunConfigJsonSchema().c_str(), stdout);
      return absl::OkStatus();
    };
  });
}

void AddVersionVerb(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb =
      app.add_subcommand("version",
                         "Versions of this build and its libraries.\n\n"
                         "  varalign version --json\n");
  verb->add_flag("--json", *json, "print one JSON object");
  verb->callback(
      [json, &action] { action = [json] { return PrintVersion(*json); }; });
}

void AddCompletionVerb(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("completion",
                         "Print a completion script for a shell.\n\n"
                         "  source <(varalign completion bash)\n"
                         "  varalign completion fish > "
                         "~/.config/fish/completions/varalign.fish\n");
  verb->add_option("shell", *shell, "bash, zsh or fish")->required();
  verb->callback([shell, &app, &action] {
    action = [shell, &app]() -> absl::Status {
      ASSIGN_OR_RETURN(const std::string script, CompletionScript(app, *shell));
      std::fputs(script.c_str(), stdout);
      return absl::OkStatus();
    };
  });
}

}  // namespace varalign::cli
